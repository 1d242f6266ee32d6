# shellcheck shell=bash
# bash completion of tallyctl. Commands, options and names are the program's own answer.

_tallyctl() {
	local words word
	mapfile -t words < <(
		"${COMP_WORDS[0]}" --complete "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null
	)
	COMPREPLY=()
	if [ "${words[0]-}" = :files ]; then
		compopt -o filenames 2>/dev/null
		word=${COMP_WORDS[COMP_CWORD]}
		mapfile -t COMPREPLY < <(compgen -f -- "${word#=}")
		return
	fi
	# A name may hold what the shell would take for its own.
	for word in "${words[@]}"; do
		COMPREPLY+=("$(printf '%q' "$word")")
	done
}

complete -F _tallyctl tallyctl
