# SPDX-License-Identifier: BSD-3-Clause
"""The command line: ``jointlight demo``, ``jointlight fit JOB.toml``, ``jointlight info``."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

if TYPE_CHECKING:
    from jointlight.fit import LM, Iter
    from jointlight.io import Job
    from jointlight.result import FitResult

__all__ = ["app", "main"]

app = typer.Typer(
    name="jointlight",
    help="Joint modelling of galaxies, stars and sky in many images at once.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


@contextmanager
def _readable_errors() -> Iterator[None]:
    """Print what a user can act on as one message instead of a traceback."""
    from jointlight.errors import JointlightError

    try:
        yield
    except (JointlightError, OSError) as error:
        # The text is the user's own: brackets in it are no markup.
        Console(stderr=True).print(f"error: {error}", style="bold red", markup=False)
        raise typer.Exit(1) from error


def _version(value: bool) -> None:
    if value:
        from jointlight import __version__

        typer.echo(f"jointlight {__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Joint modelling of galaxies, stars and sky in many images at once."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for figures and tables.")] = Path(
        "jointlight-demo"
    ),
    backend: Annotated[
        str,
        typer.Option(
            "--backend",
            "--device",
            help="What to compute on: cpu, cuda, cuda:1 and so on, or auto.",
        ),
    ] = "cpu",
    seed: Annotated[int, typer.Option(help="Seed of the noise.")] = 41136,
) -> None:
    """Fit one galaxy in three made-up images jointly; print the table, write the figures."""
    from jointlight import demo as demonstration

    with _readable_errors():
        outcome = demonstration.run(out, backend=backend, seed=seed, console=Console())
    if not outcome.result.success:
        raise typer.Exit(2)


@app.command()
def fit(
    job: Annotated[Path, typer.Argument(help="TOML file that describes images, models, outputs.")],
    verbose: Annotated[
        int, typer.Option("--verbose", "-v", count=True, help="Twice: a line for every step.")
    ] = 0,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing.")] = False,
) -> None:
    """Run the fit that a job file describes."""
    from jointlight.io import read_job

    with _readable_errors():
        task = read_job(job)
        level = 0 if quiet else min(2, max(1, verbose))
        result = _run(task, level)
        written = _write(result, task.output)
    if not quiet:
        console = Console()
        console.print(result.summary(), markup=False, highlight=False)
        for path in written:
            console.print(f"written: {path}", markup=False)
    if not result.success:
        raise typer.Exit(2)


def _run(task: Job, verbose: int) -> FitResult:
    options = dict(task.fit)
    method = options.pop("method", "lm")
    initialize = options.pop("initialize", True)
    fitter = _fitter(task, method, options, verbose)
    if initialize:
        task.model.initialize()
    return fitter.fit()


def _fitter(task: Job, method: str, options: Mapping[str, Any], verbose: int) -> LM | Iter:
    """What fits it; what it refuses is named as the job's."""
    from jointlight.errors import BackendUnavailable, InvalidInput
    from jointlight.fit import LM, Iter, LMOptions
    from jointlight.fit.lm import options_from
    from jointlight.io import JobError

    try:
        keywords = options_from(options)
        if method != "iter":
            return LM(task.model, verbose=verbose, **keywords)
        # ftol is that of the sweeps; the members' own fits take the others.
        inner = {name: keywords.pop(name) for name in ("xtol", "gtol") if name in keywords}
        return Iter(task.model, verbose=verbose, options=LMOptions(**inner), **keywords)
    except (InvalidInput, BackendUnavailable) as error:
        if "environment variable" in str(error):
            raise
        raise JobError(f"{task.path.name}, [fit]: {error}") from error


def _write(result: FitResult, output: Mapping[str, Any]) -> list[Path]:
    if not output:
        return []
    folder: Path = output["dir"]
    written: list[Path] = []

    def to(path: Path, write: Callable[[Path], Any]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path)
        written.append(path)

    if "asdf" in output:
        to(output["asdf"], lambda p: result.write(p, overwrite=True))
    if "fits" in output:
        to(output["fits"], lambda p: result.write_fits(p, overwrite=True))
    for name in ("table", "sources"):
        if name in output:
            table = getattr(result, name)
            to(output[name], partial(_write_table, table))
    if "summary" in output:
        to(output["summary"], lambda p: p.write_text(result.summary() + "\n"))
    for name in output["figures"]:
        to(folder / f"{name}.png", partial(_save_figure, result, name))
    return written


def _write_table(table: Any, path: Path) -> None:
    from jointlight.io.job import TABLE_FORMATS

    if path.suffix != ".ecsv":
        table.meta = {}
    table.write(path, format=TABLE_FORMATS[path.suffix], overwrite=True)


def _save_figure(result: FitResult, name: str, path: Path) -> None:
    _figure(result, name).savefig(path, dpi=120)


def _figure(result: FitResult, name: str) -> Any:
    from matplotlib.figure import Figure

    from jointlight import plots

    if name == "summary":
        return plots.fit_summary(result)
    if name == "covariance":
        return plots.covariance(result)
    n = len(result.images)
    figure = Figure(figsize=(4.6 * n, 4.0), layout="constrained")
    axes = [figure.add_subplot(1, n, index + 1) for index in range(n)]
    for panel, image in zip(axes, result.images, strict=True):
        if name == "profile":
            plots.radial_profile(panel, result.model, image)
        elif name == "target":
            plots.target_image(panel, image)
        elif name == "model":
            plots.model_image(panel, result.model, image=image)
        else:
            plots.residual_image(panel, result.model, image=image)
    return figure


@app.command()
def info() -> None:
    """Show version, compiler, instruction set, threads, and what CUDA lacks if it does."""
    import os
    import platform

    import numpy as np
    from rich.table import Table

    from jointlight import __version__
    from jointlight.backends import backends, environment_backend

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    rows: list[tuple[str, str]] = [
        ("jointlight", __version__),
        ("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}"),
        ("numpy", np.__version__),
    ]
    with _readable_errors():
        environment_backend()
        found = backends()
    for name, backend in found.items():
        state = "available" if backend.available else f"not available: {backend.reason}"
        rows.append((name, state))
        rows += [(f"  {key}", _fact(value)) for key, value in backend.details.items()]
    for variable in ("JOINTLIGHT_BACKEND", "JOINTLIGHT_NUM_THREADS"):
        if text := os.environ.get(variable, "").strip():
            rows.append((variable, text))
    for key, value in rows:
        table.add_row(key, value)
    Console().print(table, markup=False, highlight=False)


def _fact(value: object) -> str:
    return "none" if value in ([], "") else str(value)


def main() -> None:
    """Entry point of the ``jointlight`` command."""
    app()
