"""Hand-written material that `make_examples.py` composes rows from: facts, phrasings and slots."""

from __future__ import annotations

PRODUCTS = "kettle lamp backpack jacket tent blender headset keyboard rug mirror bicycle desk toaster camera".split()
CITIES = "Harwick Lorden Pinesbay Ostrava Millgate Verano Tulford Brightsea Kelmore Ashby".split()
COLOURS = "red blue green black white grey yellow brown".split()
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday".split()
PAYMENTS = ["credit card", "bank transfer", "gift card", "cash on delivery", "invoice", "direct debit"]
PARTS = ["the motor", "the zip", "the battery", "the switch", "the frame", "the cable", "the hinge"]
HARMS = ["scratches", "water damage", "wear from daily use", "damage from a fall", "fading in the sun"]
THINGS = ["the delivery address", "the password", "the payment method", "the phone number", "the plan"]
ROLES = ["a neighbour", "a family member", "a colleague", "a flatmate"]
SIZES = ["small", "medium", "large", "extra large"]

# Each fact: phrasings of the premise, and hypotheses that follow (True) or do not (False) when `x` is drawn so.
# In a hypothesis {x} is a value; the fact's rule says for which values it holds.
NUMBER_FACTS = {
    "return": (
        [
            "A {product} can be returned within {n} days of delivery.",
            "You have {n} days from the day it arrives to send a {product} back.",
            "We take back any unused {product} for {n} days after delivery; the label is in the box.",
        ],
        [
            "A {product} may be sent back {x} days after it arrives.",
            "After {x} days a {product} can still be returned.",
        ],
    ),
    "delivery": (
        [
            "Parcels to {city} arrive after {n} working days at the latest.",
            "We deliver to {city}; it never takes longer than {n} working days.",
            "Your order goes to {city} today and will be there in no more than {n} working days.",
        ],
        [
            "Someone in {city} who ordered {x} working days ago has the parcel.",
            "{x} working days are enough to reach {city}.",
        ],
    ),
    "refund": (
        [
            "Refunds are on your account within {n} working days.",
            "Once we have the {product}, the money is back with you in at most {n} working days.",
            "It takes up to {n} working days, not longer, until a refund shows on your card.",
        ],
        ["{x} working days later the refund has arrived.", "Nobody waits longer than {x} working days for a refund."],
    ),
    "free": (
        [
            "Shipping is free from {n} euros, below that we charge five.",
            "If your basket comes to {n} euros or more, we pay the postage.",
            "Orders of {n} euros and above are sent at no cost.",
        ],
        [
            "An order of {x} euros is sent without a shipping fee.",
            "Nothing is charged for sending a basket of {x} euros.",
        ],
    ),
    "voucher": (
        [
            "Gift cards are valid for {n} months from the day of purchase.",
            "A gift card runs out {n} months after it was bought.",
            "You can spend a gift card for {n} months, then it expires.",
        ],
        ["A gift card bought {x} months ago can still be used.", "After {x} months a gift card still works."],
    ),
    "stock": (
        [
            "There are {n} pieces of the {colour} {product} left in our warehouse.",
            "We still have {n} of the {colour} {product}; more come in spring.",
            "The {colour} {product} is almost gone: {n} remain.",
        ],
        [
            "A customer can order {x} of the {colour} {product} today.",
            "The warehouse holds enough for {x} {colour} {product}s.",
        ],
    ),
}
# How {x} must stand to {n} for the hypothesis to follow.
AT_MOST, AT_LEAST = "at most", "at least"
NUMBER_RULES = {
    "return": (AT_MOST, 10, 60),
    "delivery": (AT_LEAST, 2, 14),
    "refund": (AT_LEAST, 3, 20),
    "free": (AT_LEAST, 20, 90),
    "voucher": (AT_MOST, 6, 40),
    "stock": (AT_MOST, 3, 30),
}

# Each choice: premises with {a} allowed and {b} not; hypotheses about {x}, which is one of the two.
CHOICE_FACTS = {
    "payment": (
        [
            "We accept {a}; {b} is not possible.",
            "You can pay by {a}, but we do not take {b} at the moment.",
            "Since last month {b} is no longer offered, {a} works as before.",
        ],
        ["It is possible to pay by {x}.", "The shop takes {x}."],
        PAYMENTS,
    ),
    "warranty": (
        [
            "The warranty of the {product} covers {a}, not {b}.",
            "We repair {a} of your {product} at no cost; {b} cannot be claimed.",
            "For two years {a} is insured; for {b} the customer pays.",
        ],
        ["The customer gets {x} repaired for free.", "The warranty pays for {x}."],
        [*PARTS, *HARMS],
    ),
    "address": (
        [
            "We ship to {a}, but not yet to {b}.",
            "Delivery to {b} has stopped for now, {a} is served every day.",
            "Our vans go to {a}; customers in {b} collect their parcels here.",
        ],
        ["A parcel can be delivered to a home in {x}.", "The shop delivers to {x}."],
        CITIES,
    ),
    "size": (
        [
            "The {colour} {product} is sold out in {b}, but there in {a}.",
            "I asked for {b} and they only had the {product} in {a}.",
            "Of the {product} only {a} is left, {b} comes next month.",
        ],
        ["The {product} can be bought in {x} today.", "Someone who needs {x} finds the {product} in the shop."],
        SIZES,
    ),
    "open": (
        [
            "Our desk answers calls on {a} and is closed on {b}.",
            "On {b} nobody is at the phone; on {a} we are there from nine to five.",
            "Please call on {a}, we do not work on {b}.",
        ],
        ["A customer who calls on {x} reaches somebody.", "The phone is answered on {x}."],
        DAYS,
    ),
    "account": (
        [
            "The account holder can change {a} online; {b} needs a letter.",
            "In the app you may edit {a}, while {b} is changed by our staff.",
            "I could update {a} myself, but for {b} they asked me to write.",
        ],
        ["{x} can be changed without writing a letter.", "Customers change {x} on their own."],
        THINGS,
    ),
    "colour": (
        [
            "I ordered a {a} {product}, and what came was {b}.",
            "The picture showed a {a} {product}; mine turned out to be {b}, so I sent it back.",
            "They packed the {b} {product} although my order says {a}.",
        ],
        ["The customer wanted a {x} {product}.", "The order was for a {x} {product}."],
        COLOURS,
    ),
    "day": (
        [
            "My parcel was promised for {b} and came on {a}.",
            "They said {b}; the courier rang on {a}.",
            "Instead of {b} the {product} reached me on {a}.",
        ],
        ["The customer got the parcel on {x}.", "The delivery took place on {x}."],
        DAYS,
    ),
}
OPENERS = ["", "", "Hello, a short note: ", "From our terms: ", "Reply from the service desk: ", "As the page says: "]

QUESTIONS = {
    "How do I return a {product}?": [
        "What is the way to send a {product} back?",
        "Where can I hand in a {product} I do not want?",
    ],
    "When will my {product} arrive?": [
        "How long does it take until the {product} is here?",
        "What is the delivery date of my {product}?",
    ],
    "Can I pay for a {product} by invoice?": [
        "Is paying later possible for a {product}?",
        "Do you send a bill for a {product}?",
    ],
    "Is the {product} in stock in {city}?": [
        "Does the shop in {city} have the {product}?",
        "Could I pick up a {product} in {city} today?",
    ],
    "Why was I charged twice for the {product}?": [
        "How come the {product} was taken from my card two times?",
        "Why are there two payments for one {product}?",
    ],
    "How do I clean a {product}?": [
        "What is the best way to get a {product} clean?",
        "With what should one wash a {product}?",
    ],
    "What should I see in {city}?": [
        "Which sights in {city} are worth a visit?",
        "What is there to do in {city} on a weekend?",
    ],
    "How do I get from {city} to the sea?": [
        "What is the fastest route to the coast from {city}?",
        "Is there a train from {city} to the beach?",
    ],
    "Which {colour} flowers grow in the shade?": [
        "What {colour} plants do well without sun?",
        "Are there {colour} flowers for a dark corner?",
    ],
    "How long should I sleep before a long ride on {day}?": [
        "How much sleep do I need if I drive far on {day}?",
        "What is enough rest before a {day} trip?",
    ],
    "Who repairs a {product} in {city}?": [
        "Where in {city} can a {product} be fixed?",
        "Is there a workshop for a {product} near {city}?",
    ],
    "Can I change the address of my {product} order?": [
        "Is it too late to send my {product} somewhere else?",
        "How do I correct where the {product} goes?",
    ],
}
TOPICS = [
    "The film",
    "The new series",
    "The soup",
    "This {product}",
    "The hotel in {city}",
    "The band",
    "The novel",
    "Breakfast",
    "The waiter",
    "The {colour} {product}",
]
PRAISE = [
    "was a joy from start to finish",
    "is far better than I had hoped",
    "made my whole week",
    "deserves every bit of praise",
    "left me smiling",
    "works perfectly and feels solid",
    "was warm, clever and never dull",
    "is worth twice the money",
]
BLAME = [
    "was a waste of an evening",
    "is much worse than I had feared",
    "ruined my whole week",
    "deserves none of the praise",
    "left me cold",
    "broke at once and feels cheap",
    "was slow, noisy and never funny",
    "is not worth half the money",
]
TAILS_GOOD = [
    "and I would choose it again.",
    "and my friends agree.",
    "which I did not expect.",
    "even after a second try.",
    "thanks to the people who made it.",
]
TAILS_BAD = [
    "and I would not choose it again.",
    "and my friends agree.",
    "which I had been warned of.",
    "even after a second try.",
    "in spite of what people say.",
]

WHO = {
    "A man": "A guy",
    "A woman": "A lady",
    "Two children": "Two kids",
    "An old couple": "Two old people",
    "A dog": "A brown dog",
    "Some students": "A group of students",
}
DOES = {
    "is walking": "walks",
    "is running": "is jogging",
    "is eating": "is having a meal",
    "is reading": "is looking at a book",
    "is singing": "sings a song",
    "is resting": "is taking a break",
}
WHERE = {
    "in the park": "in a park",
    "by the river": "near the river",
    "on the bus": "in a bus",
    "at the market": "on the market square",
    "in front of a house": "outside a house",
    "on the beach": "at the seaside",
}

INGREDIENTS = "carrots onions mushrooms peppers tomatoes apples pears beans potatoes leeks".split()
HERBS = "thyme mint basil parsley dill sage rosemary chives".split()
RECIPES = {
    "baking": [
        "Knead the dough with {herb} for {n} minutes and let it rise under a cloth.",
        "Bake the {ingredient} cake for {n} minutes until the crust is golden.",
        "Fold the sifted flour into the eggs, then bake with {ingredient} for {n} minutes.",
        "Roll out the pastry, fill it with {ingredient} and {herb}, and bake for {n} minutes.",
    ],
    "grilling": [
        "Brush the {ingredient} with oil and {herb} and grill them for {n} minutes.",
        "Lay the skewers with {ingredient} over the hot coals for {n} minutes.",
        "Turn the {ingredient} on the grill after {n} minutes and sprinkle {herb} on top.",
        "Let the charcoal burn down, then char the {ingredient} for {n} minutes.",
    ],
    "salad": [
        "Toss the raw {ingredient} with lemon and {herb} and leave them for {n} minutes.",
        "Slice the {ingredient} thinly and dress them with vinegar, oil and {herb} {n} minutes before serving.",
        "Mix the leaves with cold {ingredient}, add {herb}, and chill for {n} minutes.",
        "Shake mustard, oil and {herb}, pour it over the {ingredient} and wait {n} minutes.",
    ],
    "soup": [
        "Simmer the {ingredient} in stock for {n} minutes and blend until smooth.",
        "Sweat the {ingredient} with {herb}, add water and boil gently for {n} minutes.",
        "Skim the broth, drop in the {ingredient} and cook for {n} minutes.",
        "Ladle the hot broth with {ingredient} over {herb} after {n} minutes of simmering.",
    ],
    "drink": [
        "Steep the {herb} in hot water for {n} minutes and serve it over ice.",
        "Press the {ingredient}, stir in honey and {herb}, and chill for {n} minutes.",
        "Pour sparkling water over crushed {herb} and let it stand for {n} minutes.",
        "Blend the {ingredient} with yoghurt and ice and serve the glass within {n} minutes.",
    ],
}
