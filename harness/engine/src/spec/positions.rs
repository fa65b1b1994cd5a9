//! The numbers behind positions: how fast each pair of a head turns, and how steeply each head forgets.

use std::f64::consts::TAU;

use super::Rotary;

/// How the frequencies of rotary positions are bent so that a longer text fits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Scaling {
    None,
    /// Positions are divided by this.
    Linear(f64),
    /// Llama 3.1: long wavelengths are stretched, short ones are left, those between are mixed.
    Llama3 {
        factor: f64,
        low: f64,
        high: f64,
        /// Tokens of the context that the model was trained with first.
        original: f64,
    },
    /// YaRN: the same idea with bounds in turns over the original context.
    Yarn {
        factor: f64,
        original: f64,
        /// Pairs that turn more often than this over the original context are left as they are.
        fast: f64,
        /// Pairs that turn less often than this are divided by the factor.
        slow: f64,
        /// Bounds are rounded outwards to whole pairs.
        truncate: bool,
        /// Multiplies sines and cosines.
        attention: f64,
    },
}

impl Rotary {
    /// The table for the first `turning` elements of a head, an even count; `theta` is the base of the wavelengths.
    pub(crate) fn new(theta: f64, turning: usize, scaling: Scaling) -> Self {
        let size = turning as f64;
        let plain = (0..turning / 2).map(|pair| theta.powf(-(2.0 * pair as f64) / size));
        let mut scale = 1.0;
        let frequencies = match scaling {
            Scaling::None => plain.collect(),
            Scaling::Linear(factor) => plain.map(|it| it / factor).collect(),
            Scaling::Llama3 { factor, low, high, original } => plain
                .map(|frequency| {
                    // How many times the pair turns over the original context.
                    let turns = original * frequency / TAU;
                    if turns > high {
                        frequency
                    } else if turns < low {
                        frequency / factor
                    } else {
                        let smooth = (turns - low) / (high - low);
                        frequency * ((1.0 - smooth) / factor + smooth)
                    }
                })
                .collect(),
            Scaling::Yarn { factor, original, fast, slow, truncate, attention } => {
                scale = attention;
                let pair_of = |turns: f64| size * (original / (turns * TAU)).ln() / (2.0 * theta.ln());
                let (mut first, mut last) = (pair_of(fast), pair_of(slow));
                if truncate {
                    (first, last) = (first.floor(), last.ceil());
                }
                let (first, mut last) = (first.max(0.0), last.min(size - 1.0));
                if first.to_bits() == last.to_bits() {
                    // The published code's way around a division by zero.
                    last += 0.001;
                }
                plain
                    .enumerate()
                    .map(|(pair, frequency)| {
                        let ramp = ((pair as f64 - first) / (last - first)).clamp(0.0, 1.0);
                        frequency * (ramp / factor + (1.0 - ramp))
                    })
                    .collect()
            }
        };
        Self { frequencies, scale }
    }
}

/// ALiBi's slopes, one a head: a geometric series that ends in `2^-steepest`; heads beyond a power of two take
/// every second member of the series with half its step. `heads` is at least 1.
pub(crate) fn alibi_slopes(heads: usize, steepest: f64) -> Vec<f32> {
    let whole = 1 << heads.ilog2();
    let step = steepest / f64::from(whole);
    let series = (1..=whole).map(|head| step * f64::from(head));
    let between = (0..).map(|head| step / 2.0 * f64::from(2 * head + 1));
    #[expect(clippy::cast_possible_truncation, reason = "scores are f32")]
    let slope = |exponent: f64| (-exponent).exp2() as f32;
    series.chain(between).take(heads).map(slope).collect()
}

/// The nearest number that 16 bits (bfloat16) hold.
pub(crate) fn to_bf16(value: f32) -> f32 {
    let bits = value.to_bits();
    let rounded = bits.saturating_add(0x7fff + (bits >> 16 & 1));
    f32::from_bits(rounded & 0xffff_0000)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    /// As BLOOM and as MPT put it: two formulas for one series.
    #[rstest]
    fn slopes_of_bloom_and_mpt(#[values(1, 2, 3, 4, 12, 16, 24, 71, 112)] heads: usize) {
        let heads_u32 = u32::try_from(heads).unwrap();
        let floor = 2_f64.powi(i32::try_from(heads.ilog2()).unwrap());
        let base = 2_f64.powf(-(2_f64.powf(-(floor.log2() - 3.0))));
        let extra = 2_f64.powf(-(2_f64.powf(-((2.0 * floor).log2() - 3.0))));
        let mut bloom: Vec<f64> = (1..=1 << heads.ilog2()).map(|power| base.powi(power)).collect();
        bloom.extend((0..).map(|it| extra.powi(2 * it + 1)).take(heads - bloom.len()));

        let ceiling = heads_u32.next_power_of_two();
        let all: Vec<f64> =
            (1..=ceiling).map(|it| 0.5_f64.powf(f64::from(it) * 8.0 / f64::from(ceiling))).collect();
        let mpt: Vec<f64> = if ceiling == heads_u32 {
            all
        } else {
            all.iter().skip(1).step_by(2).chain(all.iter().step_by(2)).copied().take(heads).collect()
        };

        let ours = alibi_slopes(heads, 8.0);
        assert_eq!(ours.len(), heads);
        for ((ours, bloom), mpt) in ours.into_iter().zip(bloom).zip(mpt) {
            assert!((f64::from(ours) - bloom).abs() < 1e-7, "{ours} {bloom}");
            assert!((f64::from(ours) - mpt).abs() < 1e-7, "{ours} {mpt}");
        }
    }

    #[rstest]
    #[case(1.0, 1.0)]
    #[case(0.840_896_4, 0.839_843_75)]
    #[case(1.005_859_4, 1.007_812_5)]
    fn rounding_to_16_bits(#[case] value: f32, #[case] rounded: f32) {
        assert_eq!(to_bf16(value).to_bits(), rounded.to_bits());
    }

    #[test]
    fn llama3_leaves_short_waves_and_stretches_long_ones() {
        let scaling = Scaling::Llama3 { factor: 8.0, low: 1.0, high: 4.0, original: 64.0 };
        let plain = Rotary::new(500_000.0, 16, Scaling::None);
        let bent = Rotary::new(500_000.0, 16, scaling);
        assert!((plain.frequencies[1] - 500_000_f64.powf(-0.125)).abs() < 1e-15);
        let ratios = plain.frequencies.iter().zip(&bent.frequencies).map(|(a, b)| a / b);
        let ratios: Vec<f64> = ratios.collect();
        assert!((ratios[0] - 1.0).abs() < 1e-12 && (ratios[7] - 8.0).abs() < 1e-12, "{ratios:?}");
        // 64 * 500000^(-1/8) / 2π = 1.975 turns: between 1 and 4.
        assert!((1.0 / ratios[1] - (0.675_06 / 8.0 + 0.324_94)).abs() < 1e-3, "{ratios:?}");
    }

    #[test]
    fn yarn_leaves_the_first_pairs_and_divides_the_last() {
        let scaling = Scaling::Yarn {
            factor: 4.0,
            original: 32_768.0,
            fast: 32.0,
            slow: 1.0,
            truncate: true,
            attention: 1.138_629,
        };
        let plain = Rotary::new(1e6, 128, Scaling::None);
        let bent = Rotary::new(1e6, 128, scaling);
        let ratio = |pair: usize| plain.frequencies[pair] / bent.frequencies[pair];
        // 64 ln(32768 / 64π) / ln 10⁶ = 23.6, 64 ln(32768 / 2π) / ln 10⁶ = 39.7.
        assert!((ratio(23) - 1.0).abs() < 1e-12 && ratio(24) > 1.0);
        assert!((ratio(40) - 4.0).abs() < 1e-12 && ratio(39) < 4.0);
        assert!((bent.scale - 1.138_629).abs() < 1e-12);
    }
}
