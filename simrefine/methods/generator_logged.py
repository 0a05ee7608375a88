"""What the face generator logs, declared as in methods/logged.py."""

from simrefine.methods.logged import Alarm, Logged

COLLAPSED_DIVERGENCE = 0.01  # nats a dimension: z says next to nothing
LEAKING = 0.6  # share of swapped faces that show whom they are to show; 0.5 is chance
WINDOWS = 20  # in a row in which an alarm must hold; the first steps are slow

LOGGED = (
    Logged(
        "identity/loss",
        "cross-entropy of which other faces of a batch show the same person",
        "falling",
        label="id",
    ),
    Logged(
        "identity/accuracy",
        "share of a batch's faces of which the nearest other, by the identity network, shows the same person",
        "rising towards 1",
        label="I",
        format=".0%",
    ),
    Logged(
        "identity/kept",
        "share of faces with the attributes of another person in which the identity network sees the person they are "
        "to show, rather than that other",
        "rising towards 1; near 0.5, the attributes carry the identity",
        label="kept",
        format=".0%",
        alarm=Alarm(
            "identity leaks",
            lambda numbers: numbers["identity/kept"] < LEAKING,
            WINDOWS,
            "faces with the attributes of another person show that person: only {identity_kept:.0%} are nearer to the "
            "one they are to show; raise generator_loss.likeness or generator_loss.kl",
        ),
    ),
    Logged(
        "attributes/divergence",
        "what z says of a face beyond chance (KL), nats a dimension",
        "0.2 to 0.8; near 0 is collapse: every face of a person is the same",
        label="KL",
        alarm=Alarm(
            "posterior collapse",
            lambda numbers: numbers["attributes/divergence"] < COLLAPSED_DIVERGENCE,
            WINDOWS,
            "z says {attributes_divergence:.4f} nats a dimension of a face, so pose and light do not follow it; lower "
            "generator_loss.kl",
        ),
    ),
    Logged("generator/loss", "the sum of all that the generator minimises", "no jumps"),
    Logged(
        "generator/reconstruction",
        "L1 between a made face and the one whose attributes it has, in units of [-1, 1], where it has a weight",
        "falling",
        label="rec",
    ),
    Logged("generator/likeness", "1 - cosine between the identity of a made face and the one it was given", "falling"),
    Logged(
        "generator/features",
        "squared distance of what the discriminator looks through, of a made face and the one whose attributes it has",
        "falling",
    ),
    Logged(
        "generator/mean_features",
        "the same of the means over sampled and over true faces",
        "neither 0 nor rising without end",
    ),
    Logged(
        "generator/class_features",
        "squared distance of the mean identity of a person's sampled faces to that of the true ones",
        "falling",
    ),
    Logged(
        "generator/adversarial", "the loss by which made faces fail to pass for true", "not reaching 0", label="adv"
    ),
    Logged("generator/masks", "cross-entropy of the parts that are drawn against those known, nats a pixel", "falling"),
    Logged("generator/coarse", "squared distance between the coarse masks and the fine ones, pooled", "near 0"),
    Logged(
        "generator/diversity",
        "how much sampled faces differ from each other, relative to true ones",
        "near 1; a fall towards 0 is collapse",
        label="diversity",
        format=".2f",
    ),
    Logged(
        "discriminator/judgement",
        "the loss by which the discriminator mistakes made faces for true",
        "not 0",
        label="D",
    ),
    Logged("discriminator/slope", "the square of its slope at true faces (R1)", "no jumps"),
    Logged("discriminator/true", "share of the true faces that it takes for true", "0.5 is guessing, 1 is winning"),
    Logged("discriminator/made", "share of the made faces that it sees through", "0.5 is guessing, 1 is winning"),
)
