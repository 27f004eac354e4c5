"""The words of the controlled corpus, written for it: what a word means decides which words it may stand beside.

A noun has a kind; a verb says of which kinds its subject and its object may be; an adjective says which kinds it
fits. Only count nouns stand here, so that every noun has a singular and a plural. `morphology` inflects.
"""

from dataclasses import dataclass


def _split(words: str) -> tuple[str, ...]:
    return tuple(words.split())


NOUNS = {
    kind: _split(words)
    for kind, words in {
        "person": """accountant actor actress architect artist astronaut athlete aunt author baker banker barber
            bishop boss boy bride brother builder butcher butler captain carpenter cashier champion chef
            chemist child clerk coach colleague composer consultant cook cousin critic customer dancer
            daughter dentist detective diplomat director doctor driver editor electrician emperor engineer
            farmer father firefighter fisherman friend gardener gentleman girl grandmother guard guest guide
            hairdresser historian hunter husband immigrant inspector investor janitor journalist judge king
            knight lady landlord lawyer lecturer librarian lifeguard magician man manager mayor mechanic
            merchant miner minister monk mother musician neighbour nephew niece nun nurse officer opponent
            orphan painter passenger patient physicist pilot plumber poet politician postman priest prince
            princess prisoner professor psychologist pupil queen receptionist reporter rival sailor
            scientist sculptor secretary senator sheriff shepherd shopkeeper singer sister soldier son spy
            stranger student surgeon tailor teacher teenager thief tourist tutor twin uncle veteran visitor
            waiter waitress wife witness woman writer""",
        "animal": """ant bat bear beaver bee bird bull camel cat chicken cow crab crocodile crow deer dog dolphin
            donkey dragonfly duck eagle elephant falcon fox frog giraffe goat goose gorilla hamster hawk
            hedgehog hen hippo horse hyena jaguar kangaroo kitten lamb leopard lion lizard lobster monkey
            mouse mule octopus ostrich otter owl panda panther parrot peacock penguin pig pigeon pony puppy
            rabbit rat raven rhino seal shark snail snake sparrow spider squirrel swan tiger toad tortoise
            turkey turtle walrus wasp whale wolf zebra""",
        "food": """apple apricot bagel banana biscuit burger cake carrot cherry cookie croissant cucumber doughnut
            dumpling fig grape hamburger lemon lime mango meatball melon muffin mushroom noodle omelette
            onion orange pancake burrito pastry peach peanut pear pepper pickle pie pineapple pizza plum
            potato pretzel pudding pumpkin radish raspberry salad sandwich sausage soup steak stew
            strawberry tomato waffle walnut""",
        "drink": """beer brandy cappuccino cider cocktail coffee espresso juice liqueur milkshake smoothie soda tea
            whisky wine""",
        "vehicle": "bus cab car convertible jeep limousine lorry minibus motorcycle scooter taxi tractor truck van",
        "garment": """apron blouse cap cape cardigan cloak coat costume dress glove gown hat hoodie jacket kimono kilt
            mitten necktie raincoat robe sandal scarf shawl shirt skirt slipper sock suit sweater turban
            tuxedo uniform veil waistcoat""",
        "text": """article autobiography biography book brochure comic contract diary dictionary document
            encyclopedia essay guidebook leaflet letter magazine manual manuscript memoir newspaper note
            novel pamphlet paper paragraph poem postcard questionnaire recipe report sonnet textbook thesis
            translation""",
        "instrument": """accordion banjo bassoon cello clarinet drum fiddle flute guitar harmonica harp horn mandolin
            oboe organ piano saxophone tambourine trombone trumpet tuba ukulele viola violin xylophone""",
        "tool": """axe broom bucket chisel corkscrew crowbar drill hammer hatchet hoe ladder lantern lever mop
            needle paintbrush pencil rake rope saw screwdriver shovel sickle spade spanner stapler torch
            wrench""",
        "furniture": """armchair bed bench bookcase chair chest couch cradle cupboard desk drawer mattress mirror rug
            shelf sofa stool table throne wardrobe""",
        "vessel": """bag barrel basket bottle bowl box briefcase crate cup envelope flask jar jug kettle mug pan
            plate pot purse saucer suitcase teapot tray trunk vase wallet""",
        "device": """alarm battery calculator camera clock computer dishwasher engine freezer fridge heater keyboard
            lamp laptop microphone microscope oven phone printer projector radio scanner speaker tablet
            telescope television toaster typewriter watch""",
        "jewel": """bracelet brooch coin crown diamond earring emerald locket medal necklace pearl pendant ring ruby
            sapphire trophy""",
        "plant": """bush cactus daffodil daisy fern flower geranium hedge hyacinth lily oak orchid palm pine poppy
            rose shrub sunflower tree tulip violet willow""",
        "building": """apartment bakery bank barn cabin castle cathedral chapel church cinema clinic cottage embassy
            factory farm gallery garage greenhouse hospital hotel house hut inn kitchen laboratory library
            lighthouse mansion monastery mosque museum office palace pharmacy pub restaurant school shed
            shop skyscraper stable stadium studio supermarket temple tent theatre tower university villa
            warehouse workshop""",
        "landscape": """canyon cave desert field forest garden jungle meadow oasis orchard park quarry suburb swamp town
            valley village vineyard""",
        "landmark": """bay bridge cliff fountain glacier harbour hill island lagoon lake monument mountain pond river
            statue volcano waterfall""",
        "event": """anniversary auction banquet ceremony class competition concert conference debate election exam
            exhibition festival funeral interview lecture lesson lunch match meeting parade party picnic
            play race rehearsal reunion seminar tournament trial wedding""",
        "idea": """accusation argument concept decision dilemma discovery doubt explanation hypothesis idea law lie
            method mistake mystery plan principle problem proposal question reason rule rumour secret
            strategy theory truth""",
    }.items()
}
THINGS = ("garment", "text", "instrument", "tool", "furniture", "vessel", "device", "jewel")
"""Kinds that can be bought, hidden, dropped and given away."""

NAMES = {
    "she": ("Alice", "Anna", "Clara", "Emma", "Helen", "Julia", "Laura", "Maria", "Nina", "Olivia", "Sarah", "Susan"),
    "he": ("Adam", "Ben", "Carl", "Daniel", "David", "Henry", "Jack", "Oscar", "Paul", "Peter", "Simon", "Tom"),
}
WOMEN = frozenset(
    _split(
        """actress aunt bride daughter girl grandmother lady mother niece nun princess queen sister waitress
    wife woman"""
    )
)
MEN = frozenset(
    _split(
        """bishop boy brother butler emperor father fisherman gentleman husband king knight landlord man monk
    nephew postman priest prince son uncle"""
    )
)


@dataclass(frozen=True)
class Verb:
    """A verb with one of its frames."""

    lemma: str
    slot: str
    """What follows: `intr` nothing, `trans` an object, `ditr` two, `said` and `ask` a clause, `want` an infinitive."""
    subjects: tuple[str, ...]
    objects: tuple[str, ...] = ()
    strict: bool = False
    """Whether an object of an unrelated kind is plainly odd."""
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
    *_verbs("trans", "person animal", "eat chew swallow devour", "food", strict=True),
    *_verbs("trans", "person", "cook fry bake roast serve season taste reheat", "food", strict=True),
    *_verbs("trans", "person", "drink sip pour gulp stir", "drink", strict=True),
    *_verbs("trans", "person", "drive park refuel overtake", "vehicle", strict=True),
    *_verbs("trans", "person", "wear* sew hem iron unbutton mend", "garment", strict=True),
    *_verbs("trans", "person", "read write publish edit print recite translate quote", "text", strict=True),
    *_verbs("trans", "person", "play tune practise", "instrument", strict=True),
    *_verbs("trans", "person", "sharpen grip wield", "tool", strict=True),
    *_verbs("trans", "person", "fill empty rinse", "vessel", strict=True),
    *_verbs("trans", "person", "recharge reboot unplug operate", "device", strict=True),
    *_verbs("trans", "person", "water plant prune uproot", "plant", strict=True),
    *_verbs("trans", "person", "build enter demolish renovate rent", "building", strict=True),
    *_verbs("trans", "person", "explore cross map", "landscape landmark", strict=True),
    *_verbs("trans", "person", "attend postpone cancel organise schedule", "event", strict=True),
    *_verbs("trans", "person", "understand* explain discuss accept reject suspect*", "idea", strict=True),
    *_verbs("trans", "person", "feed tame groom stroke breed hunt", "animal", strict=True),
    *_verbs(
        "trans",
        "person",
        "thank marry interview hire greet persuade insult arrest congratulate forgive betray invite accuse bribe",
        "person",
        strict=True,
    ),
    *_verbs("trans", "animal", "bite chase attack follow lick scratch watch approach", "person animal"),
    *_verbs(
        "trans", "person", "meet help call praise blame trust* respect* recognise* warn visit miss* tease", "person"
    ),
    *_verbs("trans", "person", "buy sell hide borrow steal lose find drop pack inspect display collect need*", "thing"),
    *_verbs("trans", "person", "buy sell order want* share", "food drink"),
    *_verbs("trans", "person", "repair inspect sell borrow steal damage", "vehicle device instrument"),
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
    for pair in _split(
        """food-drink food-plant food-animal animal-person text-idea text-event idea-event building
        --------landscape landscape-plant landscape-landmark landmark-plant landmark-building landmark-event
        landscape-event garment-jewel tool-device device-instrument vehicle-device vessel-furniture
        tool-instrument vessel-tool animal-plant building-furniture vehicle-animal person-idea drink
        --------vessel food-vessel building-event person-text garment-text garment-vessel device-vehicle
        landscape-building"""
    )
)
"""Pairs of kinds too close for one in the other's place to be plainly odd."""

ADJECTIVES = {
    "person": (
        """ambitious arrogant brave careful careless charming cheerful clever confident curious eager exhausted famous
        friendly furious gentle greedy grumpy handsome happy honest hungry impatient jealous kind lazy lonely nervous
        patient polite proud rude sad serious shy sleepy stubborn thirsty tired worried""",
        "young elderly tall local foreign retired",
    ),
    "animal": (
        "aggressive beautiful clumsy fierce frightened hungry lively noisy sick sleepy tame thin",
        "black brown grey white",
    ),
    "food": ("cheap delicious enormous fresh rotten salty spicy stale tasteless tasty", "organic frozen home-made"),
    "drink": ("bitter cheap cold refreshing strong sweet weak", "Italian French Spanish"),
    "vehicle": ("dirty expensive fast rusty shiny slow", "blue green red yellow"),
    "garment": ("comfortable dirty elegant expensive fashionable loose tight ugly", "blue green red purple"),
    "text": ("amusing boring brief confusing controversial dull fascinating long short", "English German Russian"),
    "instrument": ("ancient beautiful broken expensive loud valuable", "wooden electric"),
    "tool": ("blunt broken dusty heavy rusty useful", "wooden metal"),
    "furniture": ("antique comfortable elegant heavy narrow sturdy", "wooden leather"),
    "vessel": ("cracked empty filthy fragile large tiny", "plastic silver glass"),
    "device": ("broken efficient modern noisy outdated reliable", "portable electric Japanese"),
    "jewel": ("fake lovely magnificent precious rare valuable", "golden silver"),
    "plant": ("beautiful delicate healthy huge rare tropical", "pink white yellow"),
    "building": ("abandoned cosy crowded famous gloomy haunted impressive quiet", "medieval brick stone"),
    "landscape": ("barren foggy mysterious peaceful remote scenic vast", "northern southern"),
    "landmark": ("beautiful distant enormous famous picturesque remote", "northern southern"),
    "event": ("awful exciting formal memorable noisy stressful tedious unforgettable", "annual local"),
    "idea": ("absurd brilliant complicated dangerous obvious ridiculous simple strange", "scientific political moral"),
}
"""By kind: adjectives that come first and serve as predicates, and those that stand next to the noun."""

MANNER = _split(
    """quietly quickly slowly carefully carelessly calmly secretly patiently suddenly eagerly cautiously
    gladly nervously proudly reluctantly politely"""
)
FREQUENCY = ("sometimes", "often", "usually", "occasionally", "soon", "now", "rarely", "always")
OPENERS = ("sometimes", "often", "usually", "occasionally", "soon", "now")
COMMENTS = (
    "luckily",
    "apparently",
    "meanwhile",
    "however",
    "unfortunately",
    "surprisingly",
    "sadly",
    "perhaps",
    "clearly",
)
ENDINGS = ("again", "outside", "here", "there", "today", "upstairs", "inside")
DEGREES = ("very", "rather", "quite", "too", "extremely")
MODALS = ("will", "can", "may", "must", "should", "would", "could", "might")

PLACES = {
    "in": ("building", "landscape"),
    "near": ("building", "landscape", "landmark"),
    "behind": ("building", "landmark"),
    "outside": ("building",),
    "beside": ("landmark", "furniture", "plant"),
}
"""Prepositions of place, with the kinds of their noun."""

POSSESSIVES = ("my", "your", "her", "his", "our", "their")
DETERMINERS = {
    False: ("the",) * 9 + ("a",) * 7 + ("this", "that", "every", *POSSESSIVES),
    True: ("the",) * 12 + ("these", "those", "some", "some", "many", *POSSESSIVES),
}
"""By whether the noun is plural."""

NEUTRAL_DETERMINERS = ("the",) * 8 + POSSESSIVES
"""Those that leave the number of the noun open."""

STORIES = {
    "food": ("buy find order bring steal bake cook prepare", "eat devour taste share swallow"),
    "drink": ("buy order bring pour prepare", "drink sip taste share"),
    "vehicle": ("buy borrow steal rent repair", "drive park sell damage overtake"),
    "garment": ("buy find sew borrow steal iron", "wear sell lose mend fold"),
    "text": ("write find buy borrow translate", "read publish edit burn praise"),
    "instrument": ("buy find borrow build steal", "play tune sell practise damage"),
    "tool": ("buy find borrow steal", "use break sharpen return lose"),
    "device": ("buy find steal assemble", "use repair break unplug return"),
    "jewel": ("find buy steal inherit", "sell polish wear hide lose"),
    "plant": ("buy plant find", "water prune photograph sell"),
    "animal": ("find catch buy rescue", "feed tame groom stroke release"),
    "building": ("build buy inherit", "renovate sell demolish leave rent"),
    "furniture": ("build buy find", "paint sell dust polish move"),
    "vessel": ("find buy steal open", "fill empty break wash return"),
    "idea": ("propose suggest invent", "explain reject discuss forget accept"),
    "event": ("organise plan announce schedule", "cancel postpone enjoy ruin attend"),
}
"""By kind: verbs that bring a thing into a story, and verbs for what is done with it afterwards."""
