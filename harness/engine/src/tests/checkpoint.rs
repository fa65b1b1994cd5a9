//! Checkpoints of all architectures: what the spec calls for is there, in the decoder's order.

use candle_core::IndexOp as _;
use rstest::rstest;

use super::fixture::{checkpoint, tensors};
use crate::checkpoint::{Checkpoint, Matrix, Norm};
use crate::spec::{Activation, NormKind, Positions, QueryKeyNorm, Residual, Spec};

/// Rows and columns, as [`Matrix`] says.
fn shape(spec: &Spec, which: Matrix) -> (usize, usize) {
    let Spec { hidden, vocabulary, mlp, attention, .. } = spec;
    let size = attention.head_size;
    match which {
        Matrix::Embedding | Matrix::Head => (*vocabulary, *hidden),
        Matrix::Positions => (spec.context, *hidden),
        Matrix::QueryKeyValue(_) => ((attention.heads + 2 * attention.kv_heads) * size, *hidden),
        Matrix::Output(_) => (*hidden, attention.heads * size),
        Matrix::Router(_) => (mlp.experts.unwrap().count, *hidden),
        Matrix::Up(..) => (mlp.size * if mlp.gated { 2 } else { 1 }, *hidden),
        Matrix::Down(..) => (*hidden, mlp.size),
    }
}

fn length(spec: &Spec, which: Norm) -> usize {
    let attention = spec.attention;
    let heads = |count: usize| match attention.query_key_norm.unwrap() {
        QueryKeyNorm::Shared => attention.head_size,
        QueryKeyNorm::PerHead => count * attention.head_size,
    };
    match which {
        Norm::Query(_) => heads(attention.heads),
        Norm::Key(_) => heads(attention.kv_heads),
        _ => spec.hidden,
    }
}

#[rstest]
#[case::bloom("bloom", "embedding norm; 2 norms; biases")]
#[case::code_llama("code-llama", "2 norms")]
#[case::falcon_40b("falcon-40b-180b", "2 norms")]
#[case::falcon_7b("falcon-7b", "1 norm")]
#[case::gemma_2("gemma-2", "4 norms")]
#[case::gemma_3("gemma-3", "6 norms")]
#[case::h2o_danube("h2o-danube", "2 norms")]
#[case::llama_2("llama-2", "2 norms")]
#[case::llama_3("llama-3", "2 norms")]
#[case::llama_3_1("llama-3.1-rope-scaling", "2 norms")]
#[case::mistral("mistral", "2 norms")]
#[case::mixtral("mixtral", "2 norms; 4 experts")]
#[case::mpt("mpt", "2 norms")]
#[case::phi_2("phi-2", "1 norm; biases; head bias")]
#[case::pythia("pythia", "2 norms; biases")]
#[case::qwen2("qwen2", "2 norms; query bias")]
#[case::qwen3("qwen3", "4 norms")]
#[case::redpajama("redpajama-incite", "2 norms; biases")]
#[case::stablelm_2("stablelm-2", "2 norms; query bias")]
#[case::starcoder("starcoder", "positions; 2 norms; biases")]
fn all_that_the_spec_calls_for_is_there(#[case] name: &str, #[case] expected: &str) {
    let checkpoint = Checkpoint::open(&checkpoint(name)).unwrap();
    let spec = checkpoint.spec();
    let (matrices, norms) = checkpoint.contents();
    for which in &matrices {
        let rows = checkpoint.matrix(*which).unwrap();
        let (count, columns) = shape(spec, *which);
        assert_eq!((rows.rows.len(), rows.columns), (count, columns), "{which:?}");
        assert!(rows.rows.iter().all(|row| row.len() == columns * 4), "{which:?}");
        if let Some(bias) = checkpoint.bias(*which).unwrap() {
            assert_eq!(bias.len(), count, "{which:?}");
        }
    }
    for which in &norms {
        let (weight, bias) = checkpoint.norm(*which).unwrap();
        assert_eq!(weight.len(), length(spec, *which), "{which:?}");
        assert!(bias.is_none_or(|it| it.len() == weight.len()), "{which:?}");
    }
    checkpoint.release();
    checkpoint.norm(Norm::Last).unwrap();

    let mut found = Vec::new();
    if norms.contains(&Norm::Embedding) {
        found.push("embedding norm".to_owned());
    }
    if matrices.contains(&Matrix::Positions) {
        found.push("positions".to_owned());
    }
    let in_layer = (norms.len() - 1 - usize::from(norms.contains(&Norm::Embedding))) / spec.layers.len();
    found.push(format!("{in_layer} norm{}", if in_layer == 1 { "" } else { "s" }));
    let has = |which| checkpoint.bias(which).unwrap().is_some();
    if let Some(it) = spec.mlp.experts {
        found.push(format!("{} experts", it.count));
    }
    match (has(Matrix::QueryKeyValue(1)), has(Matrix::Output(1)), has(Matrix::Up(1, 0))) {
        (true, true, true) => found.push("biases".to_owned()),
        (true, false, false) => found.push("query bias".to_owned()),
        _ => {}
    }
    if has(Matrix::Head) {
        found.push("head bias".to_owned());
    }
    assert_eq!(found.join("; "), expected);
}

/// A row of the decoder's queries, keys and values is this row of this tensor. All have heads of 16.
#[rstest]
#[case::separate_query("llama-3", 17, "model.layers.1.self_attn.q_proj", 17)]
#[case::separate_key("llama-3", 64 + 17, "model.layers.1.self_attn.k_proj", 17)]
#[case::separate_value("llama-3", 64 + 32 + 17, "model.layers.1.self_attn.v_proj", 17)]
#[case::bloom_query("bloom", 17, "transformer.h.1.self_attention.query_key_value", 48 + 1)]
#[case::bloom_key("bloom", 64 + 17, "transformer.h.1.self_attention.query_key_value", 48 + 16 + 1)]
#[case::bloom_value("bloom", 128 + 17, "transformer.h.1.self_attention.query_key_value", 48 + 32 + 1)]
#[case::neox_value("pythia", 128 + 33, "gpt_neox.layers.1.attention.query_key_value", 96 + 32 + 1)]
#[case::one_key("falcon-7b", 64 + 1, "transformer.h.1.self_attention.query_key_value", 64 + 1)]
#[case::one_value("falcon-7b", 80 + 1, "transformer.h.1.self_attention.query_key_value", 80 + 1)]
#[case::group_query("falcon-40b-180b", 33, "transformer.h.1.self_attention.query_key_value", 64 + 1)]
#[case::group_key("falcon-40b-180b", 64 + 17, "transformer.h.1.self_attention.query_key_value", 64 + 32 + 1)]
#[case::group_value("falcon-40b-180b", 96 + 17, "transformer.h.1.self_attention.query_key_value", 64 + 48 + 1)]
#[case::mpt_key("mpt", 64 + 17, "transformer.blocks.1.attn.Wqkv", 64 + 17)]
#[case::starcoder_value("starcoder", 80 + 1, "transformer.h.1.attn.c_attn", 80 + 1)]
fn rows_of_attention(#[case] name: &str, #[case] ours: usize, #[case] tensor: &str, #[case] stored: usize) {
    let checkpoint = Checkpoint::open(&checkpoint(name)).unwrap();
    assert_eq!(checkpoint.spec().attention.head_size, 16);
    let tensors = tensors(name, "model.safetensors");
    let rows = checkpoint.matrix(Matrix::QueryKeyValue(1)).unwrap();
    let row: Vec<f32> = rows.rows[ours].as_chunks().0.iter().map(|it| f32::from_le_bytes(*it)).collect();
    let wanted = tensors[&format!("{tensor}.weight")].i(stored).unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(row, wanted);
    let bias = checkpoint.bias(Matrix::QueryKeyValue(1)).unwrap().map(|it| it[ours]);
    let wanted =
        tensors.get(&format!("{tensor}.bias")).map(|it| it.i(stored).unwrap().to_scalar::<f32>().unwrap());
    assert_eq!(bias, wanted);
}

#[test]
fn gates_come_before_what_they_gate() {
    for (name, gate, up) in [
        ("llama-3", "model.layers.1.mlp.gate_proj.weight", "model.layers.1.mlp.up_proj.weight"),
        (
            "mixtral",
            "model.layers.1.block_sparse_moe.experts.3.w1.weight",
            "model.layers.1.block_sparse_moe.experts.3.w3.weight",
        ),
    ] {
        let checkpoint = Checkpoint::open(&checkpoint(name)).unwrap();
        let expert = checkpoint.spec().mlp.experts.map_or(0, |_| 3);
        let rows = checkpoint.matrix(Matrix::Up(1, expert)).unwrap().rows.concat();
        let tensors = tensors(name, "model.safetensors");
        let wanted = [gate, up].map(|it| tensors[it].flatten_all().unwrap().to_vec1::<f32>().unwrap());
        let wanted: Vec<u8> = wanted.concat().iter().flat_map(|it| it.to_le_bytes()).collect();
        assert!(rows == wanted, "{name}");
    }
}

#[test]
fn what_gemma_adds_to_one_is_added_up() {
    let checkpoint = Checkpoint::open(&checkpoint("gemma-3")).unwrap();
    let tensors = tensors("gemma-3", "model.safetensors");
    for (which, name) in
        [(Norm::Last, "model.norm.weight"), (Norm::Query(1), "model.layers.1.self_attn.q_norm.weight")]
    {
        let stored = tensors[name].to_vec1::<f32>().unwrap();
        let wanted: Vec<f32> = stored.into_iter().map(|it| it + 1.0).collect();
        assert_eq!(checkpoint.norm(which).unwrap().0, wanted);
    }
}

#[test]
fn a_tied_head_is_the_embedding_itself() {
    let begin = |name: &str, which| {
        Checkpoint::open(&checkpoint(name)).unwrap().matrix(which).unwrap().rows[0].to_vec()
    };
    assert_eq!(begin("qwen2", Matrix::Head), begin("qwen2", Matrix::Embedding));
    assert_ne!(begin("llama-3", Matrix::Head), begin("llama-3", Matrix::Embedding));
}

#[test]
fn specs_of_the_reference() {
    let spec = |name: &str| Checkpoint::open(&checkpoint(name)).unwrap().spec().clone();
    let windows = |name: &str| spec(name).layers.iter().map(|it| it.window).collect::<Vec<_>>();
    assert_eq!(windows("mistral"), [Some(8), Some(8)]);
    assert_eq!(windows("h2o-danube"), [Some(16), Some(16)]);
    assert_eq!(windows("mixtral"), [None, None]);
    assert_eq!(windows("gemma-3"), [Some(8), None]);
    assert_eq!(spec("gemma-3").layers.iter().map(|it| it.rotary).collect::<Vec<_>>(), [1, 0]);

    let turning = |name: &str| match spec(name).positions {
        Positions::Rotary(tables) => tables[0].frequencies.len(),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        ["llama-3", "pythia", "redpajama-incite", "stablelm-2", "phi-2"].map(turning),
        [8, 2, 8, 2, 4]
    );
    assert_eq!(spec("starcoder").positions, Positions::Learned);
    let Positions::Alibi { slopes, rounded: None } = spec("bloom").positions else { panic!("no slopes") };
    assert_eq!(slopes, [0.25, 0.0625, 0.015_625, 0.003_906_25]);
    assert_eq!(spec("mpt").positions, spec("bloom").positions);

    assert_eq!(spec("pythia").residual, Residual::ParallelTwoNorms);
    assert_eq!(spec("redpajama-incite").residual, Residual::Serial);
    assert_eq!(spec("falcon-7b").residual, Residual::ParallelOneNorm);
    assert_eq!(spec("falcon-40b-180b").residual, Residual::ParallelTwoNorms);
    assert_eq!(spec("phi-2").residual, Residual::ParallelOneNorm);

    let activation = |name: &str| spec(name).mlp.activation;
    assert_eq!(["falcon-7b", "mpt", "pythia"].map(activation), [Activation::Gelu; 3]);
    assert_eq!(["bloom", "starcoder", "phi-2", "gemma-3"].map(activation), [Activation::GeluTanh; 4]);
    assert_eq!(spec("mpt").mlp.size, 256);
    assert_eq!(spec("mixtral").norm, NormKind::Rms { epsilon: 1e-5 });
    assert_eq!(spec("gemma-3").embedding_scale, Some(8.0));
}
