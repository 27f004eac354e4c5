"""CoordInv from treebanks (arXiv 1805.01070, section 2): two coordinated main clauses, in order or inverted."""

from collections.abc import Sequence
from typing import NamedTuple

from probing.records import SPLITS
from probing.tasks.files.senteval import Row
from probing.tasks.treebank.letter_case import Casing, learn_casing
from probing.tasks.treebank.sampling import Draft, Floor, balance, draw
from probing.tasks.treebank.sentences import Sentence, print_tokens

_SUBJECTS = ("nsubj", "csubj", "expl")
_OPENING, _CLOSING = "([{\uff08\u3010", ")]}\uff09\u3011"


class Coordination(NamedTuple):
    """A sentence cut up: `first + joint + second + end` are its tokens in order."""

    sentence: Sentence
    first: range
    joint: range
    """The conjunction, with the punctuation before it."""
    second: range
    end: range
    """The final punctuation, which stays where it is."""


def build_coordination_inversion(corpus: Sequence[Sentence], seed: int, floor: Floor) -> Draft:
    """CoordInv: whether the two clauses joined by the only conjunction of the sentence have changed places.

    As in SentEval both classes hold, as written, equally many sentences whose first clause is the longer, and
    equally many whose second one is.

    The conjunction, the punctuation before it and that at the end stay in place; the capital letter of the beginning
    goes to the new first word, and the old one gets the case it has inside sentences. Sentences in which that is not
    sure are in neither class: spelling would tell them.
    """
    casing = learn_casing(corpus)
    rows: list[Row] = []
    for split in SPLITS:
        cuts = [find_coordination(sentence) for sentence in corpus if sentence.split == split]
        found = [cut for cut in cuts if cut and invert(cut, casing)]
        order = draw(found, len(found), seed, "coordination_inversion", "halves", split)
        for half, label in zip(_halve(order), "OI", strict=True):
            rows += [(split, label, invert(cut, casing) if label == "I" else cut.sentence.text) for cut in half]
    return Draft(balance(rows, seed, "coordination_inversion", floor), "dependencies")


def _halve(cuts: Sequence[Coordination]) -> tuple[list[Coordination], list[Coordination]]:
    """Two halves of equal make-up: as often first clause longer, second longer, equal, before and after inversion.

    Neighbours in total length go to different halves, so that length does not tell them apart either.
    """
    groups: dict[int, list[Coordination]] = {-1: [], 0: [], 1: []}
    for cut in cuts:
        difference = len(cut.first) - len(cut.second)
        groups[(difference > 0) - (difference < 0)].append(cut)
    size = min(len(groups[-1]), len(groups[1])) // 2
    halves: tuple[list[Coordination], list[Coordination]] = ([], [])
    for key, group in groups.items():
        chosen = group[: 2 * (len(group) // 2 if key == 0 else size)]
        for number, cut in enumerate(sorted(chosen, key=lambda cut: cut.sentence.length)):
            # 0 1 1 0 and not 0 1 0 1: else one half would hold the longer of each pair.
            halves[(number + 1) // 2 % 2].append(cut)
    return halves


def find_coordination(sentence: Sentence) -> Coordination | None:
    """Find how the sentence falls into two main clauses, if it is nothing else than that.

    Both verbs have a subject of their own, no other coordinating conjunction stands anywhere, every word before the
    conjunction belongs to the first clause and every word after it to the second, neither clause begins with
    punctuation or has open brackets, and no double quotes stand in the sentence.
    """
    joints = [
        index for index, word in enumerate(sentence.words) if word.upos == "CCONJ" or word.relation.startswith("cc")
    ]
    if len(joints) != 1 or sentence.has_double_quotes:
        return None
    joint, second = joints[0], sentence.words[joints[0]].head
    if second <= joint or sentence.words[second].relation != "conj" or sentence.words[second].head != sentence.root:
        return None
    subjects = [sentence.dependents(verb, *_SUBJECTS) for verb in (sentence.root, second)]
    if not all(subjects) or not _parts_cleanly(sentence, joint, second):
        return None
    return _cut(sentence, sentence.words[joint].token)


def _parts_cleanly(sentence: Sentence, joint: int, second: int) -> bool:
    below = {second}
    while True:
        more = {index for index, word in enumerate(sentence.words) if word.head in below} | below
        if more == below:
            break
        below = more
    return all(
        word.is_punctuation or index == joint or (index in below) == (index > joint)
        for index, word in enumerate(sentence.words)
    )


def _cut(sentence: Sentence, joint: int) -> Coordination | None:
    marks = sentence.punctuation
    start, end = joint, len(marks)
    while start > 0 and marks[start - 1]:
        start -= 1
    while end > joint + 1 and marks[end - 1]:
        end -= 1
    cut = Coordination(sentence, range(start), range(start, joint + 1), range(joint + 1, end), range(end, len(marks)))
    whole = all(_is_clause(sentence, part) for part in (cut.first, cut.second))
    alone = sum(word.token == joint for word in sentence.words) == 1
    return cut if whole and alone else None


def _is_clause(sentence: Sentence, part: range) -> bool:
    text = "".join(sentence.tokens[index] for index in part)
    closed = all(text.count(left) == text.count(right) for left, right in zip(_OPENING, _CLOSING, strict=True))
    return len(part) >= 2 and closed and not sentence.punctuation[part[0]]


def invert(cut: Coordination, casing: Casing) -> str:
    """The sentence with its clauses exchanged; empty where the case of a first letter is not sure."""
    sentence, tokens, glued = cut.sentence, list(cut.sentence.tokens), list(cut.sentence.glued)
    upos = next(word.upos for word in sentence.words if word.token == 0)
    case = casing.exchange(tokens[0], upos, tokens[cut.second.start])
    if case is None:
        return ""
    tokens[0], tokens[cut.second.start] = case
    # What follows a clause follows it wherever it stands: the space after it stays in its place.
    last, end = cut.first.stop - 1, cut.second.stop - 1
    glued[last], glued[end] = glued[end], glued[last]
    order = [*cut.second, *cut.joint, *cut.first, *cut.end]
    return print_tokens([tokens[place] for place in order], [glued[place] for place in order])
