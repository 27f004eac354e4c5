"""The words of the controlled corpus, written for it: what a word means decides which words it may stand beside.

A noun has a kind; an adjective says which kinds it fits; the verbs, in `verbs`, say the same of subject and object.
Only count nouns stand here, so that every noun has a singular and a plural. `morphology` inflects.
"""


def split_words(words: str) -> tuple[str, ...]:
    """The words of a text."""
    return tuple(words.split())


NOUNS = {
    kind: split_words(words)
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

MANNER = split_words(
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
    "evidently",
    "clearly",
)
ENDINGS = ("again", "outside", "here", "there", "today")
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

PUBLIC_KINDS = frozenset(split_words("building landscape landmark event"))
PUBLIC_DETERMINERS = {
    False: ("the",) * 9 + ("a",) * 5 + ("this", "that"),
    True: ("the",) * 9 + ("these", "those", "some", "some", "many"),
}
"""For what seldom belongs to one person."""

NEUTRAL_DETERMINERS = ("the",) * 8 + POSSESSIVES
"""Determiners that leave the number of the noun open."""

TELLING_DETERMINERS = {False: ("a", "this", "that", "every"), True: ("these", "those", "some", "many")}
"""Determiners that do not."""

PRONOUNS = {
    (False, False): ("he", "she"),
    (False, True): ("him", "her", "me"),
    (True, False): ("we", "they", "they", "you"),
    (True, True): ("us", "them", "them"),
}
"""By whether plural and whether in the object case."""

FUNCTION_WORDS = {
    "IN.that": ("IN", ("that",)),
    "IN.if": ("IN", ("whether",)),
    "IN.time": ("IN", ("before", "after", "during")),
    "IN.by": ("IN", ("by",)),
    "IN.to": ("TO", ("to",)),
    "IN.as": ("IN", ("as",)),
    "IN.for": ("IN", ("for",)),
    "CC": ("CC", ("and",)),
    "CC.pair": ("CC", ("and", "but")),
    "CC.first": ("CC", ("and", "but")),
    "RB.not": ("RB", ("not",)),
    "RB.degree": ("RB", DEGREES),
    "UH": ("UH", ("yes", "no", "well", "oh")),
    "WRB": ("WRB", ("why", "when")),
    ",": (",", (",",)),
    ".": (".", (".",)),
    "?": (".", ("?",)),
    ":": (":", (";",)),
}
"""By symbol: the tag and the words that depend on nothing else."""
