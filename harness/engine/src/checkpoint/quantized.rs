//! Matrices of four bits in safetensors: what `quantization_config` says of them, and their tensors.
//!
//! A matrix `x` is `x.qweight`, `x.qzeros` and `x.scales`, and with GPTQ perhaps `x.g_idx`, in place of `x.weight`.
//! Which matrices are quantized shows in the names of the tensors alone.

use std::path::Path;

use candle_core::quantized::GgmlDType;
use serde_json::{Value, json};

use super::settings::{MOST, Settings};
use super::tensors::{Stored, Tensors, read_settings};
use crate::kernels::grouped::{Grouped, Packing, Parts};

/// Keys that say how the numbers were found, which kernels shall compute with them, or what the tensors show.
const HARMLESS: [&str; 29] = [
    "act_group_aware",
    "batch_size",
    "block_name_to_quantize",
    "cache_block_outputs",
    "damp_auto_increment",
    "damp_percent",
    "dataset",
    "disable_exllama",
    "exllama_config",
    "fuse_max_seq_len",
    "lm_head",
    "max_input_length",
    "model_file_base_name",
    "model_name_or_path",
    "model_seqlen",
    "module_name_preceding_first_block",
    "modules_in_block_to_quantize",
    "modules_to_fuse",
    "modules_to_not_convert",
    "mse",
    "offload_to_disk",
    "offload_to_disk_path",
    "pad_token_id",
    "static_groups",
    "tokenizer",
    "true_sequential",
    "use_cuda_fp16",
    "use_exllama",
    "use_exllama_v2",
];

/// Settings in which a folder's `config.json` says how it is quantized, also where it is older and leaves that to
/// AutoGPTQ's or AutoAWQ's own file.
pub(super) fn with_settings(folder: &Path, mut config: Value) -> Result<Value, String> {
    let Some(settings) = config.as_object_mut().filter(|it| !it.contains_key("quantization_config")) else {
        return Ok(config);
    };
    for (file, method) in [("quantize_config.json", "gptq"), ("quant_config.json", "awq")] {
        let Some(mut own) = read_settings(&folder.join(file))? else { continue };
        if let Some(own) = own.as_object_mut() {
            own.entry("quant_method").or_insert_with(|| json!(method));
        }
        settings.insert("quantization_config".to_owned(), own);
        break;
    }
    Ok(config)
}

/// How the quantized matrices of a checkpoint are stored.
#[derive(Debug)]
pub(super) struct Quantization {
    packing: Packing,
    /// Columns of a group; `None` where each row is one.
    group: Option<usize>,
    /// Whether every zero must be 8.
    symmetric: bool,
    /// Whether columns may be in groups that are no runs, which only `g_idx` tells.
    reordered: bool,
    /// Whether the writer took 1 off whole words of zeros, so that 0 borrows from its neighbour and comes back.
    borrows: bool,
}

impl Quantization {
    /// Reads `quantization_config`; what the engine does not implement is an error naming it.
    pub(super) fn read(settings: &Settings) -> Result<Self, String> {
        let Some(method) = settings.text(&["quant_method"])? else {
            return Err("no `quantization_config.quant_method`".to_owned());
        };
        if method != "awq" && method != "gptq" {
            return Err(format!(
                "`quantization_config.quant_method` is `{}`, and the engine knows awq and gptq",
                method.escape_debug()
            ));
        }
        match settings.count(&["bits", "w_bit"], 64)? {
            Some(4) => {}
            Some(bits) => {
                return Err(format!("{method} weights of {bits} bits, and the engine knows those of 4"));
            }
            None => return Err("no `quantization_config.bits`".to_owned()),
        }
        let form = settings.text(&["version", "checkpoint_format", "format"])?.map(str::to_ascii_lowercase);
        let packing = match (method, form.as_deref()) {
            ("awq", None | Some("gemm")) => Packing::Gemm,
            ("awq", Some("gemv")) => Packing::Gemv,
            ("gptq", None | Some("gptq")) => Packing::Gptq { one_less: true },
            ("gptq", Some("gptq_v2")) => Packing::Gptq { one_less: false },
            (_, form) => {
                return Err(format!(
                    "{method} weights in the form `{}`, and the engine knows gemm and gemv of awq, gptq and gptq_v2 \
                     of gptq",
                    form.unwrap_or_default().escape_debug()
                ));
            }
        };
        let group = settings.nullable_size(&["group_size", "q_group_size"], 128, MOST)?;
        let symmetric = settings.flag("sym", false)?;
        let reordered = settings.flag("desc_act", false)?;
        let backend = settings.text(&["backend"])?;
        if method == "awq" {
            if backend == Some("llm-awq") {
                return Err("awq weights in the form of llm-awq, and the engine knows AutoAWQ's".to_owned());
            }
            // Without zeros there are other layouts, each for one kernel.
            settings.only("zero_point", &json!(true))?;
        }
        settings.only("pack_dtype", &json!("int32"))?;
        settings.only("do_fuse", &json!(false))?;
        settings.only("is_marlin_format", &json!(false))?;
        overrides(settings.value("dynamic")?)?;
        let borrows = settings.value("meta")?.is_some_and(is_by_gptqmodel);
        for key in HARMLESS {
            settings.value(key)?;
        }
        settings.finish()?;
        Ok(Self { packing, group, symmetric: symmetric && method == "gptq", reordered, borrows })
    }

    /// Whether a matrix is stored in four bits.
    pub(super) fn is_used(tensors: &Tensors, name: &str) -> bool {
        tensors.get(&format!("{name}.qweight")).is_some()
    }

    /// Checks the shapes and types of a matrix; gives the names of its tensors.
    pub(super) fn check(
        &self,
        tensors: &Tensors,
        name: &str,
        shape: [usize; 2],
    ) -> Result<Vec<String>, String> {
        let [rows, columns] = shape;
        let shapes = self.packing.shapes(rows, columns, self.group.unwrap_or(columns));
        let shapes = shapes.map_err(|err| format!("`{name}` cannot be of 4 bits: {err}"))?;
        let mut names = Vec::new();
        let mut expect = |part: &str, shape: &[usize], kinds: &[&str]| {
            let name = format!("{name}.{part}");
            let Some(stored) = tensors.get(&name) else { return Err(format!("no tensor `{name}`")) };
            if stored.shape != shape {
                return Err(format!("`{name}` has the shape {:?}, not {shape:?}", stored.shape));
            }
            let kind = kind(stored);
            if !kinds.contains(&kind.as_str()) {
                return Err(format!(
                    "`{name}` is stored as {kind}, where {} would be possible",
                    kinds.join(" or ")
                ));
            }
            names.push(name);
            Ok(())
        };
        expect("qweight", &shapes.qweight, &["I32"])?;
        expect("qzeros", &shapes.qzeros, &["I32"])?;
        expect("scales", &shapes.scales, &["F16", "BF16"])?;
        if matches!(self.packing, Packing::Gptq { .. })
            && (self.reordered || tensors.get(&format!("{name}.g_idx")).is_some())
        {
            expect("g_idx", &[columns], &["I32"])?;
        }
        Ok(names)
    }

    /// A matrix that was checked.
    pub(super) fn open<'t>(
        &self,
        tensors: &'t Tensors,
        name: &str,
        shape: [usize; 2],
    ) -> Result<Grouped<'t>, String> {
        let find = |part: &str| tensors.get(&format!("{name}.{part}"));
        let part = |part: &str| find(part).ok_or_else(|| format!("no tensor `{name}.{part}`"));
        let qzeros = tensors.bytes(part("qzeros")?);
        if self.packing == (Packing::Gptq { one_less: true }) && !self.borrows && holds_fifteen(qzeros) {
            return Err(format!(
                "`{name}.qzeros` holds zeros of 0 in the form `gptq`, which AutoGPTQ damages, with the zeros beside \
                 them, when it writes them; quantize again in the form `gptq_v2`, or with GPTQModel"
            ));
        }
        let gptq = matches!(self.packing, Packing::Gptq { .. });
        let scales = part("scales")?;
        let matrix = Grouped::new(Parts {
            packing: self.packing,
            shape,
            group: self.group.unwrap_or(shape[1]),
            qweight: tensors.bytes(part("qweight")?),
            qzeros,
            scales: tensors.bytes(scales),
            bf16: scales.format == Ok(GgmlDType::BF16),
            group_of_column: if gptq { find("g_idx").map(|it| tensors.bytes(it)) } else { None },
        });
        let matrix = matrix.map_err(|err| format!("`{name}`: {err}"))?;
        if self.symmetric && !matrix.is_symmetric() {
            return Err(format!(
                "`quantization_config.sym` is true, but `{name}.qzeros` has other zeros than 8; the form `gptq` \
                 stores 8 as 7, the form `gptq_v2` as it is: `checkpoint_format` may name the wrong one"
            ));
        }
        Ok(matrix)
    }
}

/// The name of a tensor's type.
fn kind(stored: &Stored) -> String {
    stored.format.clone().map_or_else(|kind| kind, |it| format!("{it:?}"))
}

/// Settings for some matrices alone: such a rule may say that these are not quantized, which the tensors show.
fn overrides(dynamic: Option<&Value>) -> Result<(), String> {
    let rules = match dynamic {
        None | Some(Value::Bool(false)) => return Ok(()),
        Some(it) => it.as_object(),
    };
    match rules.map(|it| it.keys().find(|rule| !rule.starts_with("-:"))) {
        Some(None) => Ok(()),
        Some(Some(rule)) => Err(format!(
            "`quantization_config.dynamic` has settings of their own for `{}`, which the engine does not know",
            rule.escape_debug()
        )),
        None => Err("`quantization_config.dynamic` is no object".to_owned()),
    }
}

/// Whether GPTQModel is among the programs that wrote the file.
fn is_by_gptqmodel(meta: &Value) -> bool {
    let names = |it: &Value| it.as_str().is_some_and(|it| it.starts_with("gptqmodel:"));
    let writers = &meta["quantizer"];
    names(writers) || writers.as_array().is_some_and(|it| it.iter().any(names))
}

/// Whether a number of four bits is 15.
fn holds_fifteen(words: &[u8]) -> bool {
    words.iter().any(|it| it & 15 == 15 || it >> 4 == 15)
}
