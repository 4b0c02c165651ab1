"""`srlit COMMAND ...`: one subcommand an entry point."""

import importlib
import sys

COMMANDS = {
    "prepare": "photos: srlit prepare data=div2k; backbones: srlit prepare weights",
    "train": "train one phase: srlit train +experiment=phase1",
    "evaluate": "measure checkpoints: srlit evaluate 'checkpoints=[runs/phase1]' data=bsd100",
    "select": "rank a run's checkpoints: srlit select run=runs/phase3",
    "upscale": "upscale image files: srlit upscale input=photo.jpg checkpoint=runs/phase3",
    "tune": "report on a sweep: srlit tune runs/sweeps/phase3_loss_weights",
    "report": "runs on one HTML page: srlit report runs/phase3",
    "demo": "the whole path on sample photos, in minutes: srlit demo",
}


def usage() -> str:
    """All commands, a line each."""
    lines = [f"  {name:9} {what}" for name, what in COMMANDS.items()]
    return "\n".join(
        [
            "usage: srlit COMMAND [KEY=VALUE ...]",
            "",
            *lines,
            "",
            "srlit COMMAND --help shows its keys",
        ]
    )


def main() -> None:
    """Hand the command line on to the entry point."""
    if len(sys.argv) < 2 or sys.argv[1] in {"-h", "--help", "help"}:
        sys.stdout.write(usage() + "\n")
        return
    if sys.argv[1] == "--version":
        from srlit import __version__

        sys.stdout.write(f"srlit {__version__}\n")
        return
    command = sys.argv[1]
    if command not in COMMANDS:
        sys.stderr.write(f"error: unknown command {command!r}\n{usage()}\n")
        raise SystemExit(2)
    module = importlib.import_module(f"srlit.{command}")
    sys.argv = [str(module.__file__), *sys.argv[2:]]
    # What Lightning starts again for further processes: `python -m srlit.train`.
    sys.modules["__main__"].__spec__ = module.__spec__
    module.main()


if __name__ == "__main__":
    main()
