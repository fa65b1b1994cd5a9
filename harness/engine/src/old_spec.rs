//! What an architecture is: a row of data, completed by a file's metadata.

use crate::gguf::{Gguf, Malformed};

/// Which pairs of a head's elements rotate together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RopeStyle {
    /// Neighbours: 0 with 1, 2 with 3. GGUF permutes Llama's query and key weights to this.
    Interleaved,
    /// The first half with the second half, as GPT-NeoX.
    Halves,
}

/// What stands between the two halves of the MLP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    Silu,
    /// GELU by its tanh approximation.
    GeluTanh,
}

/// What holds for every model of an architecture.
#[derive(Debug)]
struct Architecture {
    name: &'static str,
    rope: RopeStyle,
    activation: Activation,
    /// Queries and keys are normalized, head by head.
    qk_norm: bool,
    /// What attention and MLP give is normalized before it is added.
    post_norms: bool,
    /// Embeddings are multiplied by the root of the hidden size.
    scaled_embedding: bool,
    /// All layers but each n-th attend to a window only; n, unless the metadata names it.
    sliding: Option<usize>,
}

const ARCHITECTURES: [Architecture; 2] = [
    Architecture {
        name: "llama",
        rope: RopeStyle::Interleaved,
        activation: Activation::Silu,
        qk_norm: false,
        post_norms: false,
        scaled_embedding: false,
        sliding: None,
    },
    Architecture {
        name: "gemma3",
        rope: RopeStyle::Halves,
        activation: Activation::GeluTanh,
        qk_norm: true,
        post_norms: true,
        scaled_embedding: true,
        sliding: Some(6),
    },
];

/// Rotary positions of a layer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rope {
    /// θ, the base of the wavelengths.
    pub(crate) base: f64,
    /// Positions are divided by this.
    pub(crate) scale: f64,
}

/// Layers that see only the latest tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Sliding {
    /// How many tokens they see, their own included.
    window: usize,
    /// Each n-th layer sees all tokens.
    period: usize,
    rope: Rope,
}

/// Everything about a model but its weights.
#[expect(clippy::struct_excessive_bools, reason = "architectures differ in many small things")]
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Spec {
    pub(crate) architecture: &'static str,
    /// The most tokens, prompt and answer together.
    pub(crate) context: usize,
    pub(crate) vocabulary: usize,
    pub(crate) hidden: usize,
    pub(crate) feed_forward: usize,
    pub(crate) layers: usize,
    pub(crate) heads: usize,
    /// Heads of keys and values; divides `heads`.
    pub(crate) kv_heads: usize,
    pub(crate) head_size: usize,
    pub(crate) norm_epsilon: f32,
    pub(crate) rope_style: RopeStyle,
    pub(crate) activation: Activation,
    pub(crate) qk_norm: bool,
    pub(crate) post_norms: bool,
    /// Embeddings are multiplied by this.
    pub(crate) embedding_scale: Option<f64>,
    /// Scores of attention are multiplied by this.
    pub(crate) attention_scale: f64,
    /// The head is the embedding matrix.
    pub(crate) tied_head: bool,
    /// Wavelengths are multiplied by `rope_freqs.weight`, as Llama 3.1 does.
    pub(crate) rope_factors: bool,
    rope: Rope,
    sliding: Option<Sliding>,
}

impl Spec {
    /// Reads the metadata and checks that the file holds the architecture's tensors and no others.
    pub(crate) fn read(gguf: &Gguf) -> Result<Self, String> {
        let fault = |it: Malformed| it.to_string();
        let name = gguf.text("general.architecture").map_err(fault)?;
        let name = name.ok_or("no `general.architecture`")?;
        let Some(row) = ARCHITECTURES.iter().find(|it| it.name == name) else {
            let known: Vec<_> = ARCHITECTURES.iter().map(|it| it.name).collect();
            return Err(format!(
                "the architecture is `{name}`, and the engine knows {}",
                known.join(" and ")
            ));
        };
        let count = |key: &str| gguf.count(&format!("{name}.{key}")).map_err(fault);
        let float = |key: &str| gguf.float(&format!("{name}.{key}")).map_err(fault);
        let needed = |key: &str| match count(key)? {
            Some(it) if (1..=1 << 24).contains(&it) => Ok(it),
            Some(it) => Err(format!("`{name}.{key}` is {it}")),
            None => Err(format!("no `{name}.{key}`")),
        };
        let positive = |key: &str, otherwise: f64| match float(key)?.unwrap_or(otherwise) {
            it if it > 0.0 => Ok(it),
            it => Err(format!("`{name}.{key}` is {it}")),
        };
        if count("expert_count")?.is_some_and(|it| it > 0) {
            return Err("mixtures of experts are not supported".to_owned());
        }

        let (hidden, heads) = (needed("embedding_length")?, needed("attention.head_count")?);
        let kv_heads = count("attention.head_count_kv")?.unwrap_or(heads);
        let head_size = count("attention.key_length")?.unwrap_or(hidden / heads);
        if kv_heads == 0 || !heads.is_multiple_of(kv_heads) {
            return Err(format!("{heads} heads cannot share {kv_heads} heads of keys and values"));
        }
        if head_size == 0 || !head_size.is_multiple_of(2) {
            return Err(format!("a head size of {head_size}"));
        }
        for key in ["attention.value_length", "rope.dimension_count"] {
            if let Some(it) = count(key)?.filter(|&it| it != head_size) {
                return Err(format!(
                    "`{name}.{key}` is {it}, where only the head size {head_size} is supported"
                ));
            }
        }
        let scale = match gguf.text(&format!("{name}.rope.scaling.type")).map_err(fault)? {
            None | Some("none") => 1.0,
            Some("linear") => positive("rope.scaling.factor", 1.0)?,
            Some(other) => return Err(format!("`{other}` scaling of rotary positions is not supported")),
        };
        let layers = needed("block_count")?;
        let sliding = match row.sliding {
            None => None,
            Some(period) => Some(Sliding {
                window: needed("attention.sliding_window")?,
                period: count("attention.sliding_window_pattern")?.unwrap_or(period).max(1),
                rope: Rope { base: positive("rope.freq_base_swa", 10_000.0)?, scale: 1.0 },
            }),
        };
        #[expect(clippy::cast_possible_truncation, reason = "it was written as an f32")]
        let norm_epsilon = positive("attention.layer_norm_rms_epsilon", 1e-5)? as f32;
        let tensors = gguf.tensors();
        let Some(&[vocabulary, _]) = tensors.get("token_embd.weight").map(|it| &it.shape[..]) else {
            return Err("no matrix `token_embd.weight`".to_owned());
        };
        // Gemma 3 27B, the one with 62 layers, divides by what a head would have without a size of its own.
        let queried = if row.name == "gemma3" && layers == 62 { hidden / heads } else { head_size };
        let spec = Self {
            architecture: row.name,
            context: needed("context_length")?,
            vocabulary,
            hidden,
            feed_forward: needed("feed_forward_length")?,
            layers,
            heads,
            kv_heads,
            head_size,
            norm_epsilon,
            rope_style: row.rope,
            activation: row.activation,
            qk_norm: row.qk_norm,
            post_norms: row.post_norms,
            embedding_scale: row.scaled_embedding.then(|| (hidden as f64).sqrt()),
            attention_scale: 1.0 / (queried as f64).sqrt(),
            tied_head: !tensors.contains_key("output.weight"),
            rope_factors: tensors.contains_key("rope_freqs.weight"),
            rope: Rope { base: positive("rope.freq_base", 10_000.0)?, scale },
            sliding,
        };
        spec.check(gguf)?;
        Ok(spec)
    }

    /// How many tokens a layer sees, its own included; `None` where it sees all.
    pub(crate) fn window(&self, layer: usize) -> Option<usize> {
        self.sliding.filter(|it| !(layer + 1).is_multiple_of(it.period)).map(|it| it.window)
    }

    /// The rotary positions of a layer.
    pub(crate) fn rope(&self, layer: usize) -> Rope {
        self.sliding.filter(|it| !(layer + 1).is_multiple_of(it.period)).map_or(self.rope, |it| it.rope)
    }

    /// Bytes of keys and values for each token.
    pub(crate) fn cache_bytes(&self) -> u64 {
        (2 * self.layers * self.kv_heads * self.head_size * size_of::<f32>()) as u64
    }

    /// The tensors of one layer, as name and shape.
    pub(crate) fn layer_tensors(&self) -> Vec<(&'static str, Vec<usize>)> {
        let (hidden, feed_forward) = (self.hidden, self.feed_forward);
        let (queries, keys) = (self.heads * self.head_size, self.kv_heads * self.head_size);
        let mut tensors = vec![
            ("attn_norm", vec![hidden]),
            ("attn_q", vec![queries, hidden]),
            ("attn_k", vec![keys, hidden]),
            ("attn_v", vec![keys, hidden]),
            ("attn_output", vec![hidden, queries]),
            ("ffn_norm", vec![hidden]),
            ("ffn_gate", vec![feed_forward, hidden]),
            ("ffn_up", vec![feed_forward, hidden]),
            ("ffn_down", vec![hidden, feed_forward]),
        ];
        if self.qk_norm {
            tensors.extend([("attn_q_norm", vec![self.head_size]), ("attn_k_norm", vec![self.head_size])]);
        }
        if self.post_norms {
            tensors.extend([("post_attention_norm", vec![hidden]), ("post_ffw_norm", vec![hidden])]);
        }
        tensors
    }

    /// A tensor that is missing, misshapen or not understood makes wrong answers: none is let through.
    fn check(&self, gguf: &Gguf) -> Result<(), String> {
        let tensors = gguf.tensors();
        let mut seen = 0;
        let mut expect = |name: &str, shape: &[usize]| match tensors.get(name) {
            None => Err(format!("no tensor `{name}`")),
            Some(it) if it.shape != shape => {
                Err(format!("`{name}` has the shape {:?}, not {shape:?}", it.shape))
            }
            Some(_) => {
                seen += 1;
                Ok(())
            }
        };
        expect("token_embd.weight", &[self.vocabulary, self.hidden])?;
        expect("output_norm.weight", &[self.hidden])?;
        if !self.tied_head {
            expect("output.weight", &[self.vocabulary, self.hidden])?;
        }
        if self.rope_factors {
            expect("rope_freqs.weight", &[self.head_size / 2])?;
        }
        let layer_tensors = self.layer_tensors();
        for layer in 0..self.layers {
            for (name, shape) in &layer_tensors {
                expect(&format!("blk.{layer}.{name}.weight"), shape)?;
            }
        }
        if seen < tensors.len() {
            let known = |name: &str| {
                let layer = name.strip_prefix("blk.").and_then(|it| it.split_once('.'));
                match layer {
                    Some((_, rest)) => {
                        layer_tensors.iter().any(|(it, _)| rest.strip_suffix(".weight") == Some(it))
                    }
                    None => ["token_embd.weight", "output_norm.weight", "output.weight", "rope_freqs.weight"]
                        .contains(&name),
                }
            };
            let stranger = tensors.keys().filter(|it| !known(it)).min();
            let stranger = stranger.map_or("layers beyond its count".to_owned(), |it| format!("`{it}`"));
            return Err(format!("the file holds {stranger}, which `{}` does not have", self.architecture));
        }
        Ok(())
    }
}
