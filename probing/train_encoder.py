"""Train an encoder with a named recipe: fine-tune BERT or BERMo on a task, prune it meanwhile, or make it from text.

python probing/train_encoder.py --model bermo --data controlled --task Tense --max-steps 100 --limit-dev 400
python probing/train_encoder.py --recipe prune --data data/corpora/classification --task SST-2
python probing/train_encoder.py --recipe pretrain --checkpoint none --vocabulary 4000 --text my_text.txt
python probing/train_encoder.py --recipe prune --help
"""

import os
import sys

if __name__ == "__main__":
    # Run as a file, Python puts probing/ first on the path, where its modules would hide others of the same name.
    _here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120
    _named = [p for p in sys.path if not (os.path.isdir(p or ".") and os.path.samefile(p or ".", _here))]  # noqa: PTH112, PTH121
    sys.path[:] = [os.path.dirname(_here), *_named]  # noqa: PTH120
    from probing.command_line.starting import start
    from probing.memory import HEAVY

    start(HEAVY)

import argparse

from probing.command_line.arguments import read_settings
from probing.command_line.config_files import load_mapping, take_config
from probing.exit_codes import end_in_one_line
from probing.progress import Reporter
from probing.registry import RECIPES
from probing.settings.training import RecipeSettings, TrainSettings


def main() -> int:
    """Run the script.

    Returns:
        0; 2 after a mistake that the user can mend.
    """
    settings = read_settings(choose_settings(sys.argv[1:]), config=True, description=__doc__)
    from analysis.terminal.training import show_training  # noqa: PLC0415 - pandas: not for --help
    from probing.training.run import train  # noqa: PLC0415 - torch: not for --help

    outcome = train(settings, Reporter(quiet=settings.quiet))
    show_training(outcome.folder)
    return 0


def choose_settings(arguments: list[str]) -> type[RecipeSettings]:
    """The class of settings that the recipe has: each recipe has flags of its own.

    Raises:
        InputError: there is no such recipe, or no such file of settings.
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--recipe")
    path, arguments = take_config(arguments)
    recipe = parser.parse_known_args(arguments)[0].recipe or (load_mapping(path).get("recipe") if path else None)
    # A recipe's module loads torch; the plain --help does without.
    return TrainSettings if recipe is None else RECIPES.load(str(recipe)).settings


if __name__ == "__main__":
    sys.exit(end_in_one_line(main))
