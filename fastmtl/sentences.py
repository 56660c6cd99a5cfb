"""A few sentences of plain English, of the kinds that tasks are made of: to measure with."""

SENTENCES = (
    "The parcel that I ordered two weeks ago arrived late, and one of the three boxes was damaged.",
    "Scientists in Norway have found that the ice melts faster in autumn than anybody had expected.",
    "How do I learn to play the guitar without a teacher?",
    "A man in a blue shirt is standing on a ladder and cleaning the windows of a tall building.",
    "The company said on Tuesday that its profit rose by twelve percent in the third quarter.",
    "It is a funny, warm and surprisingly honest film about people who do not want to grow up.",
    "She didn't know whether the train to Vienna would leave from platform four or from platform nine.",
    "Which river is the longest in South America, and through which countries does it flow?",
)
