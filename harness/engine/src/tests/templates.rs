//! Chat templates against transformers, and hostile ones.

use eval::backend::{BackendError, Message, Role};
use rstest::rstest;
use serde_json::Value;

use super::fixture::{fixture, json};
use crate::template::Template;

fn messages(conversation: &Value) -> Vec<Message> {
    let message = |it: &Value| Message {
        role: match it["role"].as_str().unwrap() {
            "system" => Role::System,
            "user" => Role::User,
            _ => Role::Assistant,
        },
        content: it["content"].as_str().unwrap().to_owned(),
    };
    conversation.as_array().unwrap().iter().map(message).collect()
}

/// `benches/peers/templates.py` wrote what transformers makes of it. Errors have other words.
#[track_caller]
fn check(name: &str, source: String, conversation: &Value, expected: &Value) {
    let rendered = Template::new(source).render(&messages(conversation), "<s>", "</s>");
    match expected["prompt"].as_str() {
        Some(prompt) => assert_eq!(rendered.as_deref().ok(), Some(prompt), "{name}: {rendered:?}"),
        None => assert!(rendered.is_err(), "{name}: {rendered:?}, but {}", expected["error"]),
    }
}

#[test]
fn prompts_are_those_of_transformers() {
    let expected = json("templates/expected.json");
    let prompts = expected["prompts"].as_object().unwrap();
    assert_eq!(prompts.len(), 20);
    for (name, conversations) in prompts {
        for (conversation, prompt) in conversations.as_object().unwrap() {
            let source = fixture(&format!("templates/{name}.jinja"));
            let messages = &expected["conversations"][conversation];
            check(&format!("{name}, {conversation}"), source, messages, prompt);
        }
    }
}

#[test]
fn expressions_are_those_of_transformers() {
    let expected = json("templates/expected.json");
    let lines = fixture("templates/expressions.txt");
    let prompts = expected["expressions"].as_array().unwrap();
    assert_eq!(lines.lines().count(), prompts.len());
    for (line, prompt) in lines.lines().zip(prompts) {
        check(line, line.replace('⏎', "\n"), &expected["conversations"]["all"], prompt);
    }
}

#[test]
fn what_a_template_raises_is_told() {
    let expected = json("templates/expected.json");
    let template = Template::new(fixture("templates/mistral.jinja"));
    let twice = messages(&expected["conversations"]["twice"]);
    let Err(BackendError::Template(message)) = template.render(&twice, "<s>", "</s>") else {
        panic!("it rendered");
    };
    let theirs = expected["prompts"]["mistral"]["twice"]["error"].as_str().unwrap();
    assert!(theirs.ends_with("roles must alternate user/assistant/user/assistant/..."));
    assert!(message.starts_with("roles must alternate user/assistant/user/assistant/..."), "{message}");
}

/// A loop that grows `n.x`, which begins as given, by an expression, then what is done with it.
fn grown(begin: &str, rounds: u32, grow: &str, then: &str) -> String {
    format!(
        "{{% set n = namespace(x={begin}, y={begin}) %}}{{% for i in range({rounds}) %}}{{% set n.x = {grow} %}}{{% endfor %}}{then}"
    )
}

#[rstest]
#[case::text(grown("'ab'", 60, "n.x ~ n.x", ""))]
#[case::text_by_sums(grown("'ab'", 60, "n.x + n.x", ""))]
#[case::text_by_products(grown("'ab'", 60, "n.x * 2", ""))]
#[case::list(grown("[1]", 60, "n.x + n.x", ""))]
#[case::list_of_two(grown("[1]", 90, "n.x + n.x[1:] + n.y + n.x", ""))]
#[case::list_one_by_one(grown("[1]", 60_000, "n.x + [1]", ""))]
#[case::held_twice(grown("['a']", 60, "[n.x, n.x]", "{{ n.x }}"))]
#[case::held_twice_text(grown("['a']", 60, "(n.x, n.x)", "{{ n.x | string | length }}"))]
#[case::held_twice_joined(grown("['a']", 60, "n.x, n.x", "{{ (n.x ~ '') | length }}"))]
#[case::held_twice_equal(grown("['a']", 60, "{'a': n.x, 'b': n.x}", "{{ n.x == n.y }}"))]
#[case::held_twice_by_default(grown(
    "['a']",
    60,
    "[m, m] | map('default', n.x) | list",
    "{{ n.x | string | length }}"
))]
#[case::held_twice_by_macro(
    "{% macro f(x, n) %}{% if n > 40 %}{{ x }}{% else %}{{ f([x, x], n + 1) }}{% endif %}{% endmacro %}{{ f(['a'], 0) }}".to_owned()
)]
#[case::held_twice_by_loops("{% set x = [1] %}{% for x in [[x, x]] %}".to_owned() + &"{% for x in [[x, x]] %}".repeat(60) + "{{ x }}" + &"{% endfor %}".repeat(61))]
#[case::holds_itself("{% set n = namespace() %}{% set n.x = [n] %}{{ n }}".to_owned())]
#[case::is_its_own_part("{% set n = namespace() %}{% set n.x = n %}{{ n }}".to_owned())]
#[case::large_text_held(grown(
    "'a' * 1000000",
    90,
    "[n.x, n.x, n.x, n.x][0]",
    "{{ [n.x, n.x, n.x, n.x, n.x, n.x, n.x, n.x, n.x, n.x, n.x, n.x, n.x, n.x, n.x, n.x, n.x, n.x] | string | length }}"
))]
#[case::nested_list(grown("[]", 99_999, "[n.x]", "{{ n.x }}"))]
#[case::nested_list_dropped(grown("[]", 99_999, "[n.x]", ""))]
#[case::nested_json(grown("[]", 10_000, "[n.x]", "{{ n.x | tojson }}"))]
#[case::repeated("{{ 'x' * 10000000000 }}".to_owned())]
#[case::repeated_list("{% for i in [1] * 10000000000 %}{% endfor %}".to_owned())]
#[case::range("{% for i in range(1000000000) %}{% endfor %}".to_owned())]
#[case::endless("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}".to_owned())]
#[case::for_nest("{% for i in range(9) %}".repeat(140) + &"{% endfor %}".repeat(140))]
#[case::macro_recursion("{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}".to_owned())]
#[case::macro_doubling("{% macro f(x) %}{{ f(x ~ x) }}{% endmacro %}{{ f('ab') }}".to_owned())]
#[case::loop_recursion("{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}".to_owned())]
#[case::brackets("{{ ".to_owned() + &"(".repeat(900) + "1 }}")]
#[case::brackets_long("{{ ".to_owned() + &"(".repeat(60_000) + "1 }}")]
#[case::blocks("{% if 1 %}".repeat(6_000))]
#[case::joins("{{ m".to_owned() + &"~m".repeat(30_000) + " }}")]
#[case::joins_hidden("{% raw %}{{ \"{% endraw %}{{ m".to_owned() + &"~m".repeat(30_000) + " }}")]
#[case::joins_in_brackets("{{ {'a': {}} ~ m".to_owned() + &"~m".repeat(30_000) + " }}")]
#[case::nots("{{ ".to_owned() + &"not ".repeat(15_000) + "m }}")]
#[case::long("{{ 1 }}".repeat(20_000))]
#[case::power("{{ 10 ** 100000000 }}".to_owned())]
#[case::width("{{ '%1000000000d' | format(1) }}".to_owned())]
#[case::width_of_method("{{ '{:1000000000}'.format(1) }}".to_owned())]
#[case::precision("{{ '%.1000000000f' | format(1.5) }}".to_owned())]
#[case::indent("{{ 'a\nb' | indent(1000000000) }}".to_owned())]
#[case::center("{{ 'a' | center(1000000000) }}".to_owned())]
#[case::zeros("{{ 'a'.zfill(1000000000) }}".to_owned())]
#[case::json_indent("{{ [1] | tojson(indent=1000000000) }}".to_owned())]
#[case::batch("{{ [1] | batch(1000000000, 0) | list | length }}".to_owned())]
#[case::slice("{{ [1] | slice(1000000000) | list | length }}".to_owned())]
#[case::replace("{% set x = 'x' * 100000 %}{{ x.replace('x', x) }}".to_owned())]
#[case::replace_filter("{% set x = 'x' * 100000 %}{{ x | replace('x', x) }}".to_owned())]
#[case::join("{{ ''.join(['x' * 100000] * 100000) }}".to_owned())]
#[case::join_filter("{{ (['x' * 100000] * 100000) | join('y') }}".to_owned())]
#[case::search("{% set x = 'a' * 1000000 %}{% for i in range(99999) %}{% if x.count('b') %}{% endif %}{% endfor %}".to_owned())]
fn a_hostile_template_ends_in_an_error(#[case] source: String) {
    #[expect(clippy::disallowed_methods, reason = "how long it takes is the point")]
    let now = std::time::Instant::now;
    let begin = now();
    let rendered = Template::new(source).render(&[], "", "");
    let took = begin.elapsed();
    assert!(matches!(rendered, Err(BackendError::Template(_))), "{:?}", rendered.map(|it| it.len()));
    assert!(took.as_secs_f32() < 2.0, "it took {took:?}");
}
