"""What was measured, as Markdown and as JSON."""
import dataclasses

from spread import Spread


@dataclasses.dataclass
class Table:
    """rows: {who: {figure: Spread}}."""
    name: str
    title: str
    rows: dict
    note: str = ""


def markdown(table):
    columns = list(dict.fromkeys(figure for row in table.rows.values() for figure in row))
    lines = [f"**{table.title}**", "",
             "| | " + " | ".join(columns) + " |", "|---|" + "--:|" * len(columns)]
    lines += ["| " + " | ".join([who, *(str(row.get(column, "–")) for column in columns)]) + " |"
              for who, row in table.rows.items()]
    if table.note:
        lines += ["", table.note]
    return "\n".join(lines) + "\n"


def document(context, tables):
    """Of a whole run: {"machine": ..., ...}, and the tables below it."""
    machine, options = context["machine"], context["options"]
    versions = ", ".join(f"{name} {version}" for name, version in context["versions"].items())
    about = (f"{machine['cpu']}, {machine['cores']} cores, {machine['kernel']}; tallyd "
             f"{context['commit']}, {versions}. Medians of {options['rounds']} rounds of "
             f"{options['seconds']:g} s, in brackets the lowest and the highest value.")
    return "\n".join([about, "", *map(markdown, tables)])


def plain(table):
    """For JSON."""
    return {"name": table.name, "title": table.title, "note": table.note, "rows": {
        who: {figure: {"median": spread.median, "lowest": spread.lowest,
                       "highest": spread.highest, "values": list(spread.values)}
              for figure, spread in row.items()}
        for who, row in table.rows.items()}}


def from_plain(data):
    """What a run has left in its JSON."""
    return Table(data["name"], data["title"], {
        who: {figure: Spread(tuple(one["values"])) for figure, one in row.items()}
        for who, row in data["rows"].items()}, data["note"])
