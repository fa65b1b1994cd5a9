//! Distribution functions: normal, Student's t, beta, binomial.
//!
//! Written here, on `libm` which is in the tree: what is needed is one function, the incomplete beta, and a search for
//! its quantiles. `statrs` would bring a library of distributions for it; `puruspe` and `special` have the function,
//! but not Student's t.

/// The most terms of the continued fraction; it needs about √max(a, b) of them.
const MOST_TERMS: usize = 100_000;

/// The normal distribution's probability below `x`.
pub fn normal_cdf(x: f64) -> f64 {
    libm::erfc(-x / std::f64::consts::SQRT_2) / 2.0
}

/// The value below which the normal distribution has probability `p`, for `p` between 0 and 1.
pub fn normal_quantile(p: f64) -> f64 {
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    root(-40.0, 0.0, 0.0, |x| normal_cdf(x) - p)
}

/// The regularised incomplete beta function: the probability of Beta(a, b) below `x`.
///
/// By the continued fraction of DLMF 8.17.22, with Lentz's method (Press et al., Numerical Recipes, 6.4).
pub fn beta_cdf(a: f64, b: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    // The fraction converges quickly below the mean.
    if x > (a + 1.0) / (a + b + 2.0) {
        return 1.0 - beta_fraction(b, a, 1.0 - x, x);
    }
    beta_fraction(a, b, x, 1.0 - x)
}

/// `beta_cdf` for x below the mean; `rest` is 1 - x.
#[expect(clippy::many_single_char_names, reason = "the names of the source")]
fn beta_fraction(a: f64, b: f64, x: f64, rest: f64) -> f64 {
    let front = a * x.ln() + b * rest.ln() + libm::lgamma(a + b) - libm::lgamma(a) - libm::lgamma(b);
    let kept = |it: f64| if it.abs() < 1e-300 { 1e-300 } else { it };
    let mut c = 1.0;
    let mut d = 1.0 / kept(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for m in 1..MOST_TERMS {
        let m = m as f64;
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / kept(1.0 + even * d);
        c = kept(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / kept(1.0 + odd * d);
        c = kept(1.0 + odd / c);
        value *= d * c;
        if (d * c - 1.0).abs() < 1e-16 {
            break;
        }
    }
    front.exp() * value / a
}

/// The value below which Beta(a, b) has probability `p`.
pub fn beta_quantile(a: f64, b: f64, p: f64) -> f64 {
    root(0.0, 1.0, 0.0, |x| beta_cdf(a, b, x) - p)
}

/// Student's t: the probability below `t` at `df` degrees of freedom, which need not be whole.
pub fn t_cdf(t: f64, df: f64) -> f64 {
    let square = t * t;
    // Of the two complements, the one that is not near 1.
    let both = if square > df {
        beta_cdf(df / 2.0, 0.5, df / (df + square))
    } else {
        1.0 - beta_cdf(0.5, df / 2.0, square / (df + square))
    };
    if t > 0.0 { 1.0 - both / 2.0 } else { both / 2.0 }
}

/// The value below which Student's t has probability `p`, for `p` between 0 and 1.
pub fn t_quantile(p: f64, df: f64) -> f64 {
    if p > 0.5 {
        return -t_quantile(1.0 - p, df);
    }
    if p >= 0.5 {
        return 0.0;
    }
    let mut low = -2.0;
    while t_cdf(low, df) > p {
        low *= 4.0;
    }
    root(low, 0.0, 0.0, |t| t_cdf(t, df) - p)
}

/// The probability of at most `k` successes of `n` tries with probability `p` each.
pub fn binomial_cdf(k: usize, n: usize, p: f64) -> f64 {
    if k >= n { 1.0 } else { beta_cdf((n - k) as f64, k as f64 + 1.0, 1.0 - p) }
}

/// Where a function that changes its sign between `low` and `high` is zero, give or take `within` and the last digit:
/// Chandrupatla's method (1997, Advances in Engineering Software 28, p. 145).
#[expect(clippy::many_single_char_names, reason = "the names of the source")]
pub(super) fn root(low: f64, high: f64, within: f64, f: impl Fn(f64) -> f64) -> f64 {
    let (mut a, mut b) = (high, low);
    let (mut fa, mut fb) = (f(a), f(b));
    if fa == 0.0 {
        return a;
    }
    if fb == 0.0 || (fa > 0.0) == (fb > 0.0) {
        return if fa.abs() < fb.abs() { a } else { b };
    }
    let mut t = 0.5;
    for _ in 0..200 {
        let x = a + t * (b - a);
        let fx = f(x);
        let (c, fc);
        if (fx > 0.0) == (fa > 0.0) {
            (c, fc) = (a, fa);
        } else {
            (c, fc) = (b, fb);
            (b, fb) = (a, fa);
        }
        (a, fa) = (x, fx);
        let (best, value) = if fa.abs() < fb.abs() { (a, fa) } else { (b, fb) };
        let tolerance = 2.0 * f64::EPSILON * best.abs() + within + f64::MIN_POSITIVE;
        let limit = tolerance / (b - a).abs();
        if value == 0.0 || limit > 0.5 {
            return best;
        }
        let xi = (a - b) / (c - b);
        let phi = (fa - fb) / (fc - fb);
        t = if phi * phi < xi && (1.0 - phi).powi(2) < 1.0 - xi {
            fa / (fb - fa) * fc / (fb - fc) + (c - a) / (b - a) * fa / (fc - fa) * fb / (fc - fb)
        } else {
            0.5
        };
        t = t.clamp(limit, 1.0 - limit);
    }
    a
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn near(found: f64, wanted: f64) {
        assert!((found - wanted).abs() <= 1e-12 * wanted.abs().max(1.0), "{found} is not {wanted}");
    }

    /// Reference values: scipy 1.17.1 `stats.t.ppf(p, df)`.
    #[test]
    fn quantiles_of_t_equal_scipy() {
        for (p, df, wanted) in [
            (0.975, 1.0, 12.706_204_736_174_694),
            (0.975, 2.5, 3.574_654_842_003_681_7),
            (0.975, 4.0, 2.776_445_105_197_793_4),
            (0.975, 19.0, 2.093_024_054_408_308_7),
            (0.975, 99.7, 1.984_044_625_292_485_7),
            (0.8, 3.3, 0.964_567_280_124_389),
            (0.995, 1_000.0, 2.580_754_698_065_951),
            (0.025, 7.0, -2.364_624_251_592_784_4),
        ] {
            near(t_quantile(p, df), wanted);
        }
    }

    /// Reference values: scipy 1.17.1 `stats.t.cdf(t, df)`.
    #[test]
    fn probabilities_of_t_equal_scipy() {
        for (t, df, wanted) in [
            (-3.1, 2.2, 0.039_976_703_555_993_25),
            (0.4, 5.0, 0.647_163_442_583_442_7),
            (2.7, 1_000.0, 0.996_474_493_548_911_2),
            (-8.0, 3.0, 0.002_038_288_793_892_733),
            (0.0, 4.0, 0.5),
        ] {
            near(t_cdf(t, df), wanted);
        }
    }

    /// Reference values: scipy 1.17.1 `stats.beta.cdf(x, a, b)` and `stats.beta.ppf(p, a, b)`.
    #[test]
    fn beta_equals_scipy() {
        for (a, b, x, wanted) in [
            (0.5, 0.5, 0.1, 0.204_832_764_699_133_45),
            (2.0, 99.0, 0.0547, 0.975_531_175_746_290_4),
            (50.0, 950.0, 0.04, 0.065_443_779_938_273_85),
            (1.5, 0.5, 0.999, 0.959_743_341_884_968_2),
            (300.0, 700.0, 0.33, 0.979_461_377_661_577_8),
            (1.0, 1.0, 0.25, 0.25),
        ] {
            near(beta_cdf(a, b, x), wanted);
        }
        for (a, b, p, wanted) in [
            (2.0, 99.0, 0.975, 0.054_459_385_392_080_645),
            (1.0, 5.0, 0.975, 0.521_823_750_104_981_4),
            (0.5, 3.0, 0.01, 2.844_552_328_873_523_5e-5),
            (40.0, 3.0, 0.5, 0.936_840_183_023_527_2),
        ] {
            near(beta_quantile(a, b, p), wanted);
        }
    }

    /// Reference values: scipy 1.17.1 `stats.norm.ppf(p)` and `stats.binom.cdf(k, n, p)`.
    #[test]
    fn normal_and_binomial_equal_scipy() {
        for (p, wanted) in [
            (0.975, 1.959_963_984_540_054),
            (0.8, 0.841_621_233_572_914_3),
            (0.5, 0.0),
            (1e-6, -4.753_424_308_822_899),
            (0.999_9, 3.719_016_485_455_709),
        ] {
            near(normal_quantile(p), wanted);
        }
        for (k, n, p, wanted) in [
            (0, 5, 0.3, 0.168_07),
            (3, 10, 0.5, 0.171_875),
            (70, 100, 0.65, 0.876_401_888_893_768_4),
            (10, 10, 0.2, 1.0),
        ] {
            near(binomial_cdf(k, n, p), wanted);
        }
    }
}
