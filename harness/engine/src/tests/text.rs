//! Templates, tokenizers and what comes back from them.

use eval::backend::{Backend as _, BackendError, Message, Role};
use proptest::prelude::*;
use rstest::rstest;

use super::fixture::model;
use super::gguf::File;
use crate::detokenize::{Detokenizer, Stops};
use crate::gguf::Gguf;
use crate::template::Template;
use crate::tokenizer::Tokenizer;

pub(super) fn tokenizer(file: &File, vocabulary: usize) -> Tokenizer {
    let bytes = file.bytes();
    let mut gguf = Gguf::read(&bytes[..], bytes.len() as u64).unwrap();
    Tokenizer::read(&mut gguf, vocabulary).unwrap()
}

/// A `SentencePiece` tokenizer as Gemma's: bytes, a few pieces with scores, added newlines.
fn pieces() -> Tokenizer {
    let mut tokens: Vec<String> = ["<unk>", "<bos>", "<eos>"].map(str::to_owned).to_vec();
    tokens.extend((0..=255).map(|it| format!("<0x{it:02X}>")));
    let words = ["▁", "a", "b", "ab", "▁a", "bc", "c", "cc", "\n\n", "é"];
    tokens.extend(words.map(str::to_owned));
    let mut kinds = vec![2, 3, 3];
    kinds.extend([6; 256]);
    kinds.extend([1, 1, 1, 1, 1, 1, 1, 1, 4, 1]);
    let mut scores = vec![-1000.0; 259];
    scores.extend([-9.0, -10.0, -11.0, -2.0, -3.0, -1.0, -12.0, -4.0, -1000.0, -13.0]);
    let file = File::default()
        .text("tokenizer.ggml.model", "llama")
        .texts("tokenizer.ggml.tokens", &tokens)
        .integers("tokenizer.ggml.token_type", &kinds)
        .floats("tokenizer.ggml.scores", &scores)
        .count("tokenizer.ggml.bos_token_id", 1)
        .count("tokenizer.ggml.eos_token_id", 2)
        .flag("tokenizer.ggml.add_space_prefix", false);
    tokenizer(&file, tokens.len())
}

#[track_caller]
fn round_trip(tokenizer: &Tokenizer, text: &str) {
    let mut detokenizer = Detokenizer::new(tokenizer);
    let mut back = String::new();
    for token in tokenizer.encode(text).unwrap() {
        back.push_str(&detokenizer.push(token));
    }
    assert_eq!(back + &detokenizer.finish(), text);
}

#[rstest]
fn texts_come_back(
    #[values(
        "",
        "hello the  world\n\n\n42",
        " é – 漢字 🦀",
        "<|end|> <eos>",
        "\u{2581}\0\r\t",
        "'s 'S don't"
    )]
    text: &str,
) {
    round_trip(&tokenizer(&model("llama-3"), 320), text);
    if !text.contains('\u{2581}') {
        round_trip(&pieces(), text);
    }
}

#[rstest]
#[case::merged("hello", &[262])]
#[case::after_a_space("hello the", &[262, 264])]
#[case::digits("42", &[3 + 0x34, 3 + 0x32])]
#[case::added("\n\n\n", &[265, 3 + 0x0a])]
#[case::look_alike("<|end|>", &[63, 127, 104, 113, 103, 127, 65])]
fn byte_level(#[case] text: &str, #[case] ids: &[u32]) {
    assert_eq!(tokenizer(&model("llama-3"), 320).encode(text).unwrap(), ids);
}

#[rstest]
#[case::begins("", &[1])]
#[case::best_score_first("abc", &[1, 260, 264])]
#[case::leftmost_of_equals("abab", &[1, 262, 262])]
#[case::space(" a b", &[1, 263, 259, 261])]
#[case::bytes("ñ", &[1, 3 + 0xc3, 3 + 0xb1])]
#[case::added("a\n\nb", &[1, 260, 267, 261])]
#[case::look_alike("<eos>", &[1, 3 + 0x3c, 3 + 0x65, 3 + 0x6f, 3 + 0x73, 3 + 0x3e])]
fn sentence_piece(#[case] text: &str, #[case] ids: &[u32]) {
    assert_eq!(pieces().encode(text).unwrap(), ids);
}

#[test]
fn an_invalid_byte_is_replaced_and_an_incomplete_character_waits() {
    let tokenizer = pieces();
    let mut detokenizer = Detokenizer::new(&tokenizer);
    let bytes = [0xf0, 0x9f, 0xa6, 0x80, 0xff, 0x61, 0xc3];
    let texts: Vec<_> = bytes.iter().map(|byte| detokenizer.push(3 + byte)).collect();
    assert_eq!(texts, ["", "", "", "🦀", "\u{fffd}", "a", ""]);
    assert_eq!(detokenizer.finish(), "\u{fffd}");
}

proptest! {
    /// However bytes come in tokens, what is given is whole characters, and together what they are as a whole.
    #[test]
    fn no_character_is_split(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), 0x80_u8..0xf5], 0..40),
        text in "\\PC{0,12}",
    ) {
        let tokenizer = pieces();
        let bytes = [&bytes[..], text.as_bytes(), &bytes].concat();
        let mut detokenizer = Detokenizer::new(&tokenizer);
        let mut whole = String::new();
        for (at, byte) in bytes.iter().enumerate() {
            let new = detokenizer.push(3 + u32::from(*byte));
            // Nothing waits that could be told already: at most the beginning of one character.
            whole += &new;
            let so_far = String::from_utf8_lossy(&bytes[..=at]);
            prop_assert!(so_far.starts_with(&whole), "{so_far:?} begins otherwise than {whole:?}");
            prop_assert!(so_far.chars().count() <= whole.chars().count() + 1);
        }
        prop_assert_eq!(whole + &detokenizer.finish(), String::from_utf8_lossy(&bytes));
    }
}

#[rstest]
#[case::across_tokens(&["END"], &["a E", "N", "D b"], "a ", true)]
#[case::not_after_all(&["END"], &["EN", "EEN", "O"], "ENEENO", false)]
#[case::held_to_the_end(&["END"], &["so EN"], "so EN", false)]
#[case::overlapping(&["aab"], &["aa", "ab"], "a", true)]
#[case::complete_first(&["abcd", "bc"], &["abcd"], "a", true)]
#[case::longest(&["c", "bc"], &["abc"], "a", true)]
#[case::characters(&["é!"], &["né", "e", "é", "!"], "née", true)]
#[case::none(&[], &["a", "b"], "ab", false)]
fn stop_strings(#[case] stops: &[&str], #[case] texts: &[&str], #[case] answer: &str, #[case] met: bool) {
    let stops: Vec<String> = stops.iter().map(|it| (*it).to_owned()).collect();
    let characters: Vec<String> = texts.concat().chars().map(String::from).collect();
    let whole = [texts.concat()];
    let given: Vec<String> = texts.iter().map(|it| (*it).to_owned()).collect();
    for pieces in [&given[..], &characters, &whole] {
        let mut held = Stops::new(&stops);
        let (mut text, mut ended) = (String::new(), false);
        for piece in pieces {
            let (new, end) = held.push(piece);
            text.push_str(&new);
            if end {
                ended = true;
                break;
            }
        }
        if !ended {
            text.push_str(&held.finish());
        }
        assert_eq!((text.as_str(), ended), (answer, met), "{pieces:?}");
    }
}

fn user(content: &str) -> Vec<Message> {
    vec![Message { role: Role::User, content: content.to_owned() }]
}

#[rstest]
#[case::message("{{ messages[0]['role'] }}: {{ messages[0].content }}", "user: <hi>")]
#[case::special("{{ bos_token }}|{{ eos_token }}|{{ add_generation_prompt }}", "<s>|</s>|True")]
#[case::blocks("{% for m in messages %}\n  {% if true %}\nx\n  {% endif %}\n{% endfor %}", "x\n")]
#[case::loops("{% for i in range(9) %}{% if i == 2 %}{% break %}{% endif %}{{ i }}{% endfor %}", "01")]
#[case::methods("{{ messages[0].content.strip('<').upper().replace('I', 'O') }}", "HO>")]
#[case::namespace("{% set n = namespace(x=1) %}{% set n.x = n.x + 1 %}{{ n.x }}", "2")]
#[case::json("{{ messages | tojson }}", r#"[{"role": "user", "content": "<hi>"}]"#)]
#[case::json_escapes(r"{{ '\\u003c & \n' | tojson }}", r#""\\u003c & \n""#)]
#[case::date("{{ strftime_now('%d %b %Y') }}", "01 Jan 2025")]
#[case::missing("{{ tool }}{% if messages[0].tool_calls %}x{% endif %}", "")]
fn templates(#[case] template: &str, #[case] prompt: &str) {
    let template = Template::new(template.to_owned());
    assert_eq!(template.render(&user("<hi>"), "<s>", "</s>").unwrap(), prompt);
}

#[rstest]
#[case::raised("{{ raise_exception('roles must alternate') }}", "roles must alternate")]
#[case::broken("{% if %}", "")]
#[case::endless("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", "fuel")]
#[case::doubling(
    "{% set n = namespace(x='ab') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
    "fuel"
)]
#[case::repeated("{{ 'x' * 10000000000 }}", "")]
#[case::replaced("{% set x = 'x' * 100000 %}{{ x.replace('x', x) }}", "would make")]
#[case::joined("{{ ''.join(['x' * 100000] * 100000) }}", "")]
#[case::included("{% include '/etc/passwd' %}", "")]
fn templates_that_fail(#[case] template: &str, #[case] reason: &str) {
    let template = Template::new(template.to_owned());
    let Err(BackendError::Template(message)) = template.render(&user("hi"), "", "") else {
        panic!("it rendered");
    };
    assert!(message.contains(reason), "{message}");
}

const CHAT: &str = "{% for m in messages %}<|start|>{{ m.content }}<|end|>{% endfor %}<|start|>";

#[rstest]
#[case::plain("hello", &[262])]
#[case::look_alike("a<|end|>", &[100, 63, 127, 104, 113, 103, 127, 65])]
#[case::joined_with_the_template("<|end|", &[63, 127, 104, 113, 103, 127])]
#[case::trailing("<", &[63])]
fn only_the_template_writes_control_tokens(#[case] content: &str, #[case] ids: &[u32]) {
    let engine = model("llama-3").text("tokenizer.chat_template", CHAT).open();
    let prompt = engine.prompt(&user(content)).unwrap();
    assert_eq!(prompt.tokens, [&[1], ids, &[2, 1]].concat());
    assert_eq!(prompt.text, format!("<|start|>{content}<|end|><|start|>"));
    assert_eq!(prompt.template.unwrap().len(), 64);
}

/// A model that goes on with a plain text would answer with a blank line if its examples did, and so end at once where
/// answers end with one.
#[test]
fn an_answer_stands_right_below_its_question() {
    let turn = |role, content: &str| Message { role, content: content.to_owned() };
    let messages = [
        turn(Role::System, "Be brief."),
        turn(Role::User, "1 + 1?"),
        turn(Role::Assistant, "2"),
        turn(Role::User, "2 + 2?"),
    ];
    let plain = model("llama-3").open().prompt(&messages).unwrap();
    assert_eq!(plain.text, "Be brief.\n\n1 + 1?\n2\n\n2 + 2?");
}

#[test]
fn the_beginning_token_comes_once() {
    let file = model("llama-3").flag("tokenizer.ggml.add_bos_token", true);
    let plain = file.open().prompt(&[user("hello"), user("hello")].concat()).unwrap();
    assert_eq!((plain.text.as_str(), plain.template), ("hello\n\nhello", None));
    assert_eq!(plain.tokens, [1, 262, 265, 262]);
    let chat = file.text("tokenizer.chat_template", CHAT).open();
    assert_eq!(chat.prompt(&user("hello")).unwrap().tokens, [1, 262, 2, 1]);
}
