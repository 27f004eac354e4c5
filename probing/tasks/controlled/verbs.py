"""The verbs of the controlled corpus: what each one takes, and of which kinds its subject and its object may be."""

from dataclasses import dataclass

from probing.tasks.controlled.lexicon import NOUNS, THINGS, split_words


@dataclass(frozen=True)
class Verb:
    """A verb with one of its frames."""

    lemma: str
    slot: str
    """Complement of the verb: `intr` nothing, `trans` and `topic` an object, `ditr` two, `tell` an object and a clause,
    `urge` an object and an infinitive, `want` an infinitive, the others a clause."""
    subjects: tuple[str, ...]
    objects: tuple[str, ...] = ()
    strict: bool = False
    """True where an object of an unrelated kind is plainly odd."""
    stative: bool = False
    """Statives take no progressive."""


def _verbs(slot: str, subjects: str, lemmas: str, objects: str = "", *, strict: bool = False) -> list[Verb]:
    kinds = tuple(kind for name in objects.split() for kind in (THINGS if name == "thing" else (name,)))
    by_whom = tuple(NOUNS) if subjects == "any" else tuple(subjects.split())
    return [
        Verb(lemma.strip("*"), slot, by_whom, kinds, strict, lemma.endswith("*"))
        for lemma in lemmas.split()  # a star marks a stative verb
    ]


VERBS = (
    *_verbs("trans", "person animal", "eat", "food", strict=True),
    *_verbs("trans", "person animal", "chew swallow devour", "food"),
    *_verbs("trans", "person", "cook fry bake roast season taste reheat", "food", strict=True),
    *_verbs("trans", "person", "drink sip pour gulp stir", "drink", strict=True),
    *_verbs("trans", "person", "drive park refuel overtake", "vehicle", strict=True),
    *_verbs("trans", "person", "wear* sew hem iron unbutton", "garment", strict=True),
    *_verbs("trans", "person", "read write publish edit print recite translate quote", "text", strict=True),
    *_verbs("trans", "person", "play tune practise", "instrument", strict=True),
    *_verbs("trans", "person", "sharpen wield", "tool", strict=True),
    *_verbs("trans", "person", "fill empty rinse", "vessel"),
    *_verbs("trans", "person", "recharge reboot unplug", "device", strict=True),
    *_verbs("trans", "person", "water plant prune uproot", "plant", strict=True),
    *_verbs("trans", "person", "enter renovate vacate", "building", strict=True),
    *_verbs("trans", "person", "build demolish rent", "building"),
    *_verbs("trans", "person", "explore cross map", "landscape landmark", strict=True),
    *_verbs("trans", "person", "attend postpone cancel schedule host", "event", strict=True),
    *_verbs("trans", "person", "understand* explain discuss accept reject suspect*", "idea"),
    *_verbs("trans", "person", "feed tame groom breed hunt", "animal", strict=True),
    *_verbs("trans", "person", "stroke", "animal"),
    *_verbs(
        "trans",
        "person",
        "thank marry interview greet persuade insult arrest congratulate forgive betray invite accuse bribe",
        "person",
        strict=True,
    ),
    *_verbs("trans", "animal", "bite chase attack follow lick scratch watch approach", "person animal"),
    *_verbs(
        "trans",
        "person",
        "meet help hire call praise blame trust* respect* recognise* warn visit miss* tease",
        "person",
    ),
    *_verbs("trans", "person", "buy sell hide borrow steal lose find drop pack inspect display collect need*", "thing"),
    *_verbs("trans", "person", "buy sell order want* share", "food drink"),
    *_verbs("trans", "person", "repair mend inspect sell borrow steal damage", "vehicle device instrument"),
    *_verbs("trans", "person", "polish weigh admire* wrap", "jewel vessel"),
    *_verbs("trans", "person", "assemble dust move scratch", "furniture"),
    *_verbs("trans", "person", "describe remember* forget* mention ignore like* hate* love* avoid", "event idea text"),
    *_verbs(
        "trans",
        "person",
        "paint sketch photograph see* notice* like* describe",
        "animal landscape landmark building plant",
    ),
    *_verbs("trans", "any", "surprise* please* annoy* disappoint* delight* amuse* frighten*", "person"),
    *_verbs("ditr", "person", "give send show lend offer sell hand bring", "thing"),
    *_verbs("ditr", "person", "serve offer bring sell", "food drink"),
    *_verbs(
        "said", "person", "say think* believe* know* claim hear* hope explain admit announce guess* realise* notice*"
    ),
    *_verbs("said", "person", "insist discover* suggest doubt* forget* remember* confirm deny"),
    *_verbs("tell", "person", "tell assure inform remind convince warn", "person"),
    *_verbs("urge", "person", "persuade force order encourage allow advise urge beg teach ask", "person"),
    *_verbs("topic", "person", "mention describe admire* need* like* want* remember* notice*", " ".join(NOUNS)),
    *_verbs("think", "person", "say think* believe* know* claim hope guess* hear*"),
    *_verbs("ask", "person", "wonder ask know* forget* discover* remember*"),
    *_verbs("want", "person", "want* hope try refuse decide plan promise need* agree intend*"),
    *_verbs(
        "intr", "person", "sleep laugh cry smile sing dance work wait shout whisper arrive leave cough sneeze kneel"
    ),
    *_verbs("intr", "person", "relax complain hesitate study argue swim faint pray travel resign yawn snore blush"),
    *_verbs("intr", "animal", "sleep eat run jump swim escape drink hide rest wait wander shiver drown"),
    *_verbs("intr", "vehicle", "stop crash arrive leave disappear accelerate skid"),
    *_verbs("intr", "food drink", "disappear smell* vanish"),
    *_verbs("intr", "garment text instrument tool furniture vessel jewel", "disappear fall vanish"),
    *_verbs("intr", "device", "fail explode overheat beep crash"),
    *_verbs("intr", "plant", "grow wither bloom die"),
    *_verbs("intr", "building", "burn collapse close crumble"),
    *_verbs("intr", "landscape landmark", "change vanish"),
    *_verbs("intr", "event", "begin end continue start"),
    *_verbs("intr", "idea", "matter* fail spread persist"),
)

NEAR_KINDS = frozenset(
    frozenset(pair.split("-"))
    for pair in split_words(
        """food-drink food-plant food-animal animal-person text-idea text-event idea-event building
        --------landscape landscape-plant landscape-landmark landmark-plant landmark-building landmark-event
        landscape-event garment-jewel tool-device device-instrument vehicle-device vessel-furniture
        tool-instrument vessel-tool animal-plant building-furniture vehicle-animal person-idea drink
        --------vessel food-vessel building-event person-text garment-text garment-vessel device-vehicle
        landscape-building
        vehicle-event vehicle-building vehicle-instrument vehicle-person device-text device-garment
        instrument-person landscape-person landmark-person text-instrument"""
    )
)
"""Pairs of kinds too close for one in the other's place to be plainly odd."""

STORIES = {
    "food": ("cook fry bake roast prepare", "serve season taste share", "eat devour swallow"),
    "drink": ("pour prepare order mix", "stir taste sip serve", "gulp spill"),
    "vehicle": ("design", "build assemble", "drive park refuel repair wash", "wreck scrap"),
    "garment": ("design", "sew make", "wear iron fold wash mend", "burn ruin"),
    "text": ("plan", "write draft", "read edit translate quote copy", "burn shred"),
    "instrument": ("design", "build make", "play tune practise polish", "smash wreck"),
    "tool": ("design", "make forge", "use sharpen clean borrow", "break destroy"),
    "device": ("invent design", "build assemble", "use unplug repair test", "smash destroy scrap"),
    "furniture": ("design", "build make", "paint dust polish move", "burn smash"),
    "vessel": ("design", "make", "fill rinse polish use", "break smash"),
    "plant": ("plant", "water prune trim photograph", "uproot burn destroy"),
    "building": ("plan design", "build", "enter paint rent renovate visit", "demolish"),
    "event": ("propose suggest", "plan organise schedule", "attend enjoy host", "remember praise"),
}
"""By kind: what is done with a thing in the course of its life, stage by stage. Of two stages the later one cannot
come first, and what stands in the middle is the later one of some pairs and the earlier one of others."""
