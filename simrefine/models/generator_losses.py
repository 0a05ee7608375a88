"""The losses of the face generator, a few lines each beside their equation: every one is a mean, or a value a face [n],
of which `mean_where` takes the mean.

x_s is the face whose identity is wanted, x_a the one whose attributes, x' = G(f(x_s), z(x_a)). [1]: CVAE-GAN (Bao et
al. 2017, arXiv 1703.10155). [2]: open-set identity-preserving synthesis (Bao et al. 2018, arXiv 1803.11182).
"""

from keras import ops

TEMPERATURE = 0.1  # of the contrast between people
FAR = 1e4  # taken from the logit of a face with itself, which is no match


def mean_where(values, weights):
    """The mean of values [n] times weights [n], over all n: a face of weight 0.1 counts for a tenth."""
    return ops.mean(values * weights)


def divergence(mean, log_variance):
    """KL(N(mean, variance) || N(0, 1)) a dimension, in nats ([1], L_KL; there summed): [n]."""
    return ops.mean((ops.square(mean) + ops.exp(log_variance) - log_variance - 1.0) / 2.0, axis=-1)


def reconstruction(made, wanted, places):
    """mean |x' - x_a| over the pixels ([2] squares), each weighted by `places` [n, h, w, 1]: [n]."""
    return ops.mean(ops.abs(made - wanted) * places, axis=(1, 2, 3))


def distance(identity, wanted):
    """1 - cos(f(x'), f(x_s)) of unit vectors ([2] has the distance of C's features): [n]."""
    return 1.0 - ops.sum(identity * wanted, axis=-1)


def contrast(vectors, people):
    """Supervised contrast (Khosla et al. 2020, arXiv 2004.11362, eq. 2): for unit vectors [n, d] of `people` int [n],
    the cross-entropy of telling the other faces of one's own person among all others, by cosine / TEMPERATURE."""
    own = ops.eye(vectors.shape[0])
    alike = ops.cast(ops.equal(people[:, None], people[None]), "float32") - own
    cosines = ops.matmul(vectors, ops.transpose(vectors))
    shares = ops.log_softmax(cosines / TEMPERATURE - FAR * own, axis=-1)
    return -ops.mean(ops.sum(alike * shares, axis=-1) / ops.maximum(ops.sum(alike, axis=-1), 1.0))


def squared_distance(features, wanted):
    """|f_D(x') - f_D(x_a)|^2 / width ([1], pairwise matching; [2], L_GR of D): [n]; of means, a scalar."""
    return ops.mean(ops.square(features - wanted), axis=-1)


def perceptual(maps, wanted):
    """The same of feature maps [n, h, w, c] at several scales, each a mean: their mean over the scales, [n]."""
    apart = [ops.cast(ops.square(ours - theirs), "float32") for ours, theirs in zip(maps, wanted, strict=True)]
    return sum(ops.mean(values, axis=(1, 2, 3)) for values in apart) / len(apart)


def cross_entropy(logits, parts, places):
    """Of the parts drawn [n, h, w, k] against soft labels of the same shape, mean over the pixels, each weighted by
    `places` [n, h, w, 1]: [n]. Where nothing is known, all labels are 0, and so is the loss."""
    penalties = -ops.sum(parts * ops.log_softmax(logits, axis=-1), axis=-1)
    return ops.mean(penalties * places[..., 0], axis=(1, 2))


def of_domain(maps, domains):
    """D's logits for the domain of each face: maps [n, h', w', 2] at several scales and one-hot domains [n, 2] to maps
    [n, h', w']."""
    return [ops.sum(logits * domains[:, None, None], axis=-1) for logits in maps]


def over_scales(function, maps):
    """The mean over the scales of the mean of `function` over a map's patches: a scale with many patches counts as much
    as the one decision on the whole face."""
    return sum(ops.mean(function(values)) for values in maps) / len(maps)


def slope(logits, moved_logits, length: float):
    """|grad D|^2 at true faces (R1, Mescheder et al. 2018, arXiv 1801.04406), from D at faces moved by `length` times
    standard normal noise u: the mean of ((D(x + length u) - D(x)) / length)^2 is that of (u . grad D)^2, which is
    |grad D|^2. So no gradient of a gradient is needed, which backends have under names of their own. Of maps of logits
    at several scales: a scalar."""
    return over_scales(ops.square, [(moved - at) / length for at, moved in zip(logits, moved_logits, strict=True)])


def running(old, new, step, decay: float = 0.9):
    """A moving average that is a plain mean at first; `step` counts the values before."""
    keep = ops.minimum(decay, step / (step + 1.0))
    return keep * old + (1.0 - keep) * new
