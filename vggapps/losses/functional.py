"""The losses as plain functions: of two maps of features, of two pictures' moments, or of two pictures.

Each gives one number a picture, but the first five, which give one a position. ``moments(features)`` makes moments.
What they compare, and where the formula comes from, is said by each.
"""

from vggapps.losses.contextual import cobi, contextual, id_mrf, self_similarity
from vggapps.losses.criteria import charbonnier, cosine, frobenius, huber, l1, l2, squared_error
from vggapps.losses.distribution import histogram, mmd, relaxed_emd, sliced
from vggapps.losses.dists import similarities
from vggapps.losses.frequency import focal_frequency
from vggapps.losses.moments import moments
from vggapps.losses.quality import ms_ssim, psnr, ssim
from vggapps.losses.style import adain, gram, mean_covariance, mean_covariance_l1, mean_std, published_gram
from vggapps.losses.variation import total_variation
from vggapps.losses.wasserstein import wasserstein

__all__ = [
    "adain",
    "charbonnier",
    "cobi",
    "contextual",
    "cosine",
    "focal_frequency",
    "frobenius",
    "gram",
    "histogram",
    "huber",
    "id_mrf",
    "l1",
    "l2",
    "mean_covariance",
    "mean_covariance_l1",
    "mean_std",
    "mmd",
    "moments",
    "ms_ssim",
    "psnr",
    "published_gram",
    "relaxed_emd",
    "self_similarity",
    "similarities",
    "sliced",
    "squared_error",
    "ssim",
    "total_variation",
    "wasserstein",
]
