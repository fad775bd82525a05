"""The table on the screen, bench.csv, bench.json, and whether all musts are met."""
import csv
import json

from figures import table

COLUMNS = ("row", "what", "unit", "better", "must", "aim", "measured", "lowest", "highest", "values", "ratio", "must reached", "aim reached", "busy",
           "state", "note")


class LeftOut:
    """A line that this machine has no room for: "if it fits"."""

    def __init__(self, name, why):
        self.name, self.note = name, why


class Missing:
    """A line whose row gave no figure."""

    def __init__(self, name, why):
        self.name, self.note = name, why


def shown(line, value):
    return f"{value:,.{line.digits}f}"


class Report:
    """Lines as they come; told at once, judged at the end."""

    def __init__(self, tell=print):
        self.tell = tell
        self.results = []

    def add(self, results):
        self.results += results
        for result in results:
            self.tell(self.text(result))

    def failed(self, row, why):
        """A row that gave no figure: all of its lines that are not there yet."""
        there = {r.name for r in self.results}
        self.add([Missing(line.name, why) for line in table.LINES if line.row == row and line.name not in there])

    def head(self):
        return f"{'row':<14} {'must':>9} {'aim':>9} {'measured':>11} {'spread':>21}  {'ratio':>5}  marks"

    def text(self, result):
        line = table.line_named(result.name)
        begin = f"{line.name:<14} {shown(line, line.must):>9} {shown(line, line.aim):>9}"
        if isinstance(result, (LeftOut, Missing)):
            word = "NO FIGURE" if isinstance(result, Missing) else "left out"
            return f"{begin} {word:>11} {'':>21}  {'':>5}  {result.note}"
        spread = f"{shown(line, result.lowest)} to {shown(line, result.highest)}"
        return (f"{begin} {shown(line, result.value) + unit(line):>11} {spread:>21}  {line.ratio(result.value):>5.2f}  "
                f"{self.marks(line, result):<9} {line.what}" + (f"\n{'':<15}{result.note}" if result.note else ""))

    @staticmethod
    def marks(line, result):
        if line.reaches(result.value, line.aim):
            return "must, aim"
        return "must" if line.reaches(result.value, line.must) else "MISSED"

    def table_text(self):
        return "\n".join([self.head()] + [self.text(r) for r in self.results])

    def costs_text(self):
        """Processor time an operation by role and thread, of each line that has it."""
        out = ["microseconds of processor an operation, all processes of a role together (of each thread what is 0.01 or more):"]
        for result in self.results:
            costs = getattr(result, "us_per_op", None)
            if not costs:
                continue
            roles = {}
            for (role, thread), us in costs.items():
                roles.setdefault(role, {})[thread] = us
            parts = []
            for role in sorted(roles):
                threads = sorted(((us, t) for t, us in roles[role].items() if us >= 0.01), reverse=True)
                inside = "" if set(roles[role]) == {"all"} else " (" + ", ".join(f"{t} {us:.2f}" for us, t in threads) + ")"
                parts.append(f"{role} {sum(roles[role].values()):.2f}{inside}")
            out.append(f"  {result.name:<14} {sum(costs.values()):>7.2f} us: " + "; ".join(parts))
        return "\n".join(out) if len(out) > 1 else ""

    def faults(self, rows):
        """What keeps the run from being good, one text each, for the rows that were asked for."""
        out = []
        for line in table.LINES:
            result = next((r for r in self.results if r.name == line.name), None)
            if line.row not in rows or isinstance(result, LeftOut):
                continue
            if result is None or isinstance(result, Missing):
                out.append(f"{line.name} gave no figure: {result.note if result else 'it did not run'}")
            elif not line.reaches(result.value, line.must):
                out.append(f"{line.name} is {shown(line, result.value)}{unit(line)}, must be {shown(line, line.must)}")
        return out

    def lines(self):
        """A dictionary a line, for CSV and JSON."""
        for result in self.results:
            line = table.line_named(result.name)
            out = {"row": line.name, "what": line.what, "unit": line.unit, "better": line.better, "must": round(line.must, 4),
                   "aim": round(line.aim, 4), "note": result.note, "state": "measured"}
            if isinstance(result, (LeftOut, Missing)):
                out["state"] = "no figure" if isinstance(result, Missing) else "left out"
            else:
                out.update({"measured": round(result.value, 4), "lowest": round(result.lowest, 4), "highest": round(result.highest, 4),
                            "values": [round(v, 4) for v in result.values], "ratio": round(line.ratio(result.value), 4),
                            "must reached": line.reaches(result.value, line.must), "aim reached": line.reaches(result.value, line.aim),
                            "busy": result.busy,
                            "us_per_op": {f"{role}: {thread}": round(us, 4) for (role, thread), us in result.us_per_op.items()}})
            yield out

    def write(self, folder, about):
        """bench.csv and bench.json."""
        with open(f"{folder}/bench.csv", "w", newline="") as f:
            writer = csv.DictWriter(f, COLUMNS, restval="", extrasaction="ignore")
            writer.writeheader()
            for line in self.lines():
                writer.writerow(dict(line, values=" ".join(str(v) for v in line.get("values", []))))
        with open(f"{folder}/bench.json", "w") as f:
            json.dump(dict(about, means=table.MEANS, lines=list(self.lines())), f, indent=2)
            f.write("\n")


def unit(line):
    return "" if line.unit == "/s" else " " + line.unit if line.unit != "%" else " %"
