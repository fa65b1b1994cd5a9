//! The rotary positions of a `config.json`: as most published ones say it (`rope_theta` and `rope_scaling`, or an
//! architecture's own words) and as transformers 5 does (`rope_parameters`).

use std::cmp::Ordering;

use serde_json::json;

use super::settings::{MOST, Settings};
use crate::spec::{Rotary, Scaling};

/// The share of each head that turns.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Share {
    /// All of it, always.
    Whole,
    /// As the settings say under this name; this much where they do not.
    Part(&'static str, f64),
}

/// What an architecture says of its positions.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rope {
    /// What the base of the wavelengths is called.
    pub(super) theta: &'static str,
    pub(super) default_theta: f64,
    pub(super) share: Share,
}

impl Rope {
    /// Most architectures'.
    pub(super) const PLAIN: Self = Self { theta: "rope_theta", default_theta: 10_000.0, share: Share::Whole };

    /// The table for heads of this size.
    pub(super) fn table(
        self,
        settings: &Settings,
        context: usize,
        head_size: usize,
    ) -> Result<Rotary, String> {
        let scaling = match (settings.object("rope_parameters")?, settings.object("rope_scaling")?) {
            (Some(_), Some(_)) => {
                return Err("`rope_parameters` and `rope_scaling` are both there".to_owned());
            }
            (one, other) => one.or(other),
        };
        self.table_of(settings, scaling.as_ref(), context, head_size)
    }

    /// The table where it is known which object says how positions are scaled.
    pub(super) fn table_of(
        self,
        settings: &Settings,
        scaling: Option<&Settings>,
        context: usize,
        head_size: usize,
    ) -> Result<Rotary, String> {
        let outer = settings.positive(&[self.theta])?;
        let inner = scaling.map(|it| it.positive(&["rope_theta"])).transpose()?.flatten();
        let theta = agreed("rope_theta", outer, inner)?.unwrap_or(self.default_theta);
        if theta <= 1.0 {
            return Err(format!("`{}` is {theta}, where a number above 1 is possible", self.theta));
        }
        let name = match self.share {
            Share::Whole => "partial_rotary_factor",
            Share::Part(name, _) => name,
        };
        let outer = settings.positive(&[name])?;
        let inner = scaling.map(|it| it.positive(&["partial_rotary_factor"])).transpose()?.flatten();
        let share = agreed(name, outer, inner)?;
        let share = match self.share {
            Share::Whole => match share.map(|it| (it, it.partial_cmp(&1.0))) {
                None | Some((_, Some(Ordering::Equal))) => 1.0,
                Some((it, _)) => {
                    return Err(format!("`{name}` is {it}, where this architecture turns whole heads"));
                }
            },
            Share::Part(_, default) => share.unwrap_or(default),
        };
        if share > 1.0 {
            return Err(format!("`{name}` is {share}, where at most 1 is possible"));
        }
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below the head size")]
        let turning = (head_size as f64 * share) as usize;
        if turning == 0 || !turning.is_multiple_of(2) {
            return Err(format!(
                "{turning} of the {head_size} elements of a head would turn, which are no pairs"
            ));
        }
        let scaling = match scaling {
            None => Scaling::None,
            Some(it) => {
                let read = read_scaling(settings, it, context)?;
                it.finish()?;
                read
            }
        };
        let rotary = Rotary::new(theta, turning, scaling);
        if rotary.frequencies.iter().all(|it| it.is_finite()) && rotary.scale.is_finite() {
            Ok(rotary)
        } else {
            Err("these rotary positions have no finite frequencies".to_owned())
        }
    }
}

fn agreed(name: &str, outer: Option<f64>, inner: Option<f64>) -> Result<Option<f64>, String> {
    match (outer, inner) {
        (Some(one), Some(other)) if one.to_bits() != other.to_bits() => {
            Err(format!("`{name}` is {one} in one place and {other} in another"))
        }
        (one, other) => Ok(one.or(other)),
    }
}

fn read_scaling(settings: &Settings, scaling: &Settings, context: usize) -> Result<Scaling, String> {
    let needed = |name: &str| {
        scaling.positive(&[name])?.ok_or_else(|| format!("the scaling of rotary positions has no `{name}`"))
    };
    let original = || {
        let key = "original_max_position_embeddings";
        let (outer, inner) = (settings.count(&[key], MOST)?, scaling.count(&[key], MOST)?);
        let (outer, inner) = (outer.map(|it| it as f64), inner.map(|it| it as f64));
        Ok::<_, String>(agreed(key, outer, inner)?.unwrap_or(context as f64))
    };
    let kind = scaling.text(&["rope_type", "type"])?.unwrap_or("default");
    Ok(match kind {
        "default" => Scaling::None,
        "linear" => Scaling::Linear(needed("factor")?),
        "llama3" => {
            let (low, high) = (needed("low_freq_factor")?, needed("high_freq_factor")?);
            if low >= high {
                return Err(format!("`low_freq_factor` is {low}, not below `high_freq_factor`, {high}"));
            }
            Scaling::Llama3 { factor: needed("factor")?, low, high, original: original()? }
        }
        "yarn" => {
            let original = original()?;
            let factor = scaling.positive(&["factor"])?.unwrap_or(context as f64 / original);
            let grown = |by: f64| if factor <= 1.0 { 1.0 } else { 0.1 * by * factor.ln() + 1.0 };
            let (one, all) = (scaling.positive(&["mscale"])?, scaling.positive(&["mscale_all_dim"])?);
            let attention = scaling.positive(&["attention_factor"])?;
            scaling.only("finetuned", &json!(true))?;
            Scaling::Yarn {
                factor,
                original,
                fast: scaling.positive(&["beta_fast"])?.unwrap_or(32.0),
                slow: scaling.positive(&["beta_slow"])?.unwrap_or(1.0),
                truncate: scaling.flag("truncate", true)?,
                attention: attention.unwrap_or_else(|| match one.zip(all) {
                    Some((one, all)) => grown(one) / grown(all),
                    None => grown(1.0),
                }),
            }
        }
        other => {
            return Err(format!(
                "`{other}` scaling of rotary positions is not known; default, linear, llama3 and yarn are"
            ));
        }
    })
}
