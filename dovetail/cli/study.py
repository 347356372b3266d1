"""Commands that show a study: report and export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from dovetail.cli.options import OUTPUT, examples
from dovetail.cli.output import check_outputs

StudyArgument = Annotated[
    str, typer.Argument(metavar="STUDY", help="The study file of a search, finished or not.")
]


EXPORTS = examples(
    "dovetail export study.db study.csv", "dovetail export a.db b.db evaluations.parquet"
)


def register(app: typer.Typer) -> None:
    """Adds the commands to the application."""
    app.command("report", epilog=examples("dovetail report study.db -o report.html"))(
        report_command
    )
    app.command("export", epilog=EXPORTS)(export_command)


def report_command(
    study: StudyArgument,
    out: Annotated[
        str,
        typer.Option("--out", "-o", metavar="F", help="The HTML file.", rich_help_panel=OUTPUT),
    ] = "report.html",
) -> None:
    """Write a study as one self-contained HTML file: front, convergence, every front design."""
    from dovetail.cli.running import check_report, write_study_report

    check_outputs({"--out": out}, inputs=(study,))
    check_report()
    write_study_report(study, out)


def export_command(
    studies: Annotated[
        list[str], typer.Argument(metavar="STUDY...", help="Study files of one problem.")
    ],
    out: Annotated[str, typer.Argument(metavar="F", help="A .parquet or .csv file.")],
) -> None:
    """Write all evaluations of studies as one table: a row each, with knobs and metrics."""
    from dovetail.studies.dataset import check_suffix, merge

    check_outputs({"F": out}, inputs=tuple(studies))
    check_suffix(Path(out))
    print(f"{merge(studies, out):,} evaluations: {out}")
