"""The losses as plain functions: of two feature maps, of the moments of two pictures, or of two pictures.

Each returns one value per picture, except ``charbonnier``, ``cosine``, ``huber``, ``l1`` and ``l2``, which return one
per position. ``moments(features)`` computes moments.
"""

from vggapps.losses._contextual import cobi, contextual, id_mrf, self_similarity
from vggapps.losses._criteria import charbonnier, cosine, frobenius, huber, l1, l2, squared_error
from vggapps.losses._distribution import histogram, mmd, relaxed_emd, sliced
from vggapps.losses._dists import similarities
from vggapps.losses._moments import moments
from vggapps.losses._quality import focal_frequency, ms_ssim, psnr, ssim
from vggapps.losses._style import adain, gram, mean_covariance, mean_covariance_l1, mean_std, published_gram
from vggapps.losses._variation import total_variation
from vggapps.losses._wasserstein import wasserstein

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
