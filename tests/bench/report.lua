-- One report after another, no two of them equal. EVENTS: how many events each has.
local events = tonumber(os.getenv("EVENTS") or "1")
local number = 0

function setup(thread)
	thread:set("id", tostring(thread))
end

function request()
	local list = {}
	for i = 1, events do
		number = number + 1
		list[i] = string.format(
			'{"kind":"handler","service":"bench","client":"u%d","type":"stats","stats":' ..
			'{"totalConns":%d,"currentConns":0,"inputBytes":100,"outputBytes":10,"totalErrs":0}}',
			number % 10000, number)
	end
	return wrk.format("POST", "/observer?node=" .. id:gsub("%W", ""),
		{["Content-Type"] = "application/json"}, '{"events":[' .. table.concat(list, ",") .. "]}")
end

function done(summary)
	local errors = summary.errors
	io.write(string.format("RESULT %d %f %d\n", summary.requests,
		1e6 * summary.requests / summary.duration,
		errors.status + errors.read + errors.write + errors.connect + errors.timeout))
end
