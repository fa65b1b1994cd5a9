//! Code: what becomes of an answer from its text to its score, through the sandbox of this machine.
//!
//! A `main` of its own, because the sandbox starts this executable anew. A language that is not installed makes its
//! tests ignored, with the reason.
#![expect(
    clippy::unwrap_used,
    reason = "clippy's exception for tests leaves out the functions that they share"
)]

use std::process::ExitCode;

use eval::grade::{Contained, Evidence, Examiner as _, Found, Judgement, Rubric, Unanswered};
use eval::yaml;
use libtest_mimic::{Arguments, Completion, Trial};

/// A name, a rubric, an answer, the score, and words of the reason.
type Row = (&'static str, &'static str, &'static str, f64, &'static str);

const CALLS: &str = r#"
code:
  language: python
  calls:
    - add(2, 3) == 5
    - add("a", "b") == "ab"
    - add(None, 1) raises TypeError
  limits: { cpu: 1, wall: 120 }
"#;

const MEAN: &str = "code: { language: python, calls: ['mean([1, 2, 2]) == 1.6666667'], tolerance: 1e-6 }";

const HUMANEVAL: &str = r#"
code:
  language: python
  entry: double
  extract: completion
  before: |
    def double(x: int) -> int:
        """Twice x."""
  given: "def helper(x): return 2 * x"
  tests: |
    def check(candidate):
        assert candidate(4) == helper(4)
        assert candidate(-1) == -2
"#;

const FASTER: &str = r#"
code:
  language: python
  entry: has_pair
  limits: { cpu: 20 }
  reference: |
    def has_pair(numbers, total):
        seen = set()
        for it in numbers:
            if total - it in seen:
                return True
            seen.add(it)
        return False
  tests: |
    assert has_pair([1, 2, 3], 5) and not has_pair([1, 2, 3], 9)
    assert not has_pair([2], 4)
    assert slowdown(list(range(0, 6000, 2)), 9999) < 10, "it takes far more work than it has to"
"#;

const LOOKS: &str = r"
code:
  language: python
  entry: find
  tests: |
    numbers = Counted(range(0, 2000, 2), at_most=22)
    assert find(numbers, 1234) == 617
";

const MUTANTS: &str = r#"
code:
  language: python
  entry: clamp
  mutants:
    right: "def clamp(x, low, high): return max(low, min(x, high))"
    wrong:
      - "def clamp(x, low, high): return max(low, x)"
      - "def clamp(x, low, high): return min(x, high)"
"#;

const STACK: &str = r"
code:
  language: python
  calls: ['run([1, 2, 3]) == [3, 2, 1]']
  after: |
    def run(items):
        stack = Stack()
        for it in items:
            stack.push(it)
        return [stack.pop() for _ in items]
";

const RUST: &str = r#"
code:
  language: rust
  after: |
    fn main() {
        let line = std::io::stdin().lines().next().unwrap().unwrap();
        println!("{}", double(line.trim().parse().unwrap()));
    }
  prints: [{ stdin: 21, stdout: 42 }, { stdin: -3, stdout: -6 }]
"#;

const JAVASCRIPT: &str = r#"
code:
  language: javascript
  after: |
    const line = require("fs").readFileSync(0, "utf8");
    console.log(double(Number(line)));
  prints: [{ stdin: 21, stdout: 42 }]
"#;

const SQL: &str = r#"
code:
  language: sql
  before: |
    create table people (name text, age integer);
    insert into people values ('Ada', 36), ('Alan', 41), ('Grace', 85);
  prints: [{ stdout: "Alan\nGrace" }]
"#;

const SHELL: &str = r#"
code:
  language: shell
  prints: [{ stdin: "b\na\nb\n", stdout: "2 b\n1 a" }]
"#;

const ROWS: &[Row] = &[
    ("calls", CALLS, "Sure:\n```python\ndef add(a, b):\n    return a + b\n```", 1.0, "3 calls as wanted"),
    (
        "wrong",
        CALLS,
        "```python\ndef add(a, b):\n    return a - b\n```",
        0.0,
        "add(2, 3) returned -1, wanted 5",
    ),
    ("type", CALLS, "def add(a, b):\n    return float(a + b)", 0.0, "returned 5.0 (float), wanted 5 (int)"),
    (
        "not raised",
        CALLS,
        "def add(a, b):\n    return (a or '') + b if a != None else 0",
        0.0,
        "wanted TypeError to be raised",
    ),
    ("no function", CALLS, "```python\nprint(5)\n```", 0.0, "defines no `add`"),
    (
        "no function, and its error is wanted",
        "code: { language: python, calls: ['add(1, 2) raises KeyError'] }",
        "print(5)",
        0.0,
        "defines no `add`",
    ),
    ("prose", CALLS, "I would add the two numbers.", 0.0, "does not load: SyntaxError"),
    ("nothing", CALLS, "  ", 0.0, "there is no code"),
    ("empty block", CALLS, "```python\n```", 0.0, "there is no code"),
    ("says so", CALLS, "print('passed')\nimport sys\nsys.exit(0)", 0.0, "does not load: SystemExit"),
    ("no end", CALLS, "def add(a, b):\n    while True: pass", 0.0, "used too much CPU time"),
    ("tolerance", MEAN, "def mean(x): return sum(x) / len(x)", 1.0, "1 call as wanted"),
    ("beyond tolerance", MEAN, "def mean(x): return 1.67", 0.0, "returned 1.67, wanted 1.6666667"),
    ("nan", MEAN, "def mean(x): return float('nan')", 0.0, "returned nan"),
    ("completion", HUMANEVAL, "    return 2 * x\n\nprint(double(2))", 1.0, "2 calls"),
    ("wrong completion", HUMANEVAL, "    return x\n", 0.0, "an assertion fails"),
    ("completion that repeats", HUMANEVAL, "def double(x):\n    return 2 * x", 0.0, "there is no code"),
    (
        "fast",
        FASTER,
        "def has_pair(a, t):\n    s = set()\n    for x in a:\n        if t - x in s: return True\n        s.add(x)\n    return False",
        1.0,
        "",
    ),
    (
        "slow",
        FASTER,
        "def has_pair(a, t):\n    return any(a[i] + a[j] == t for i in range(len(a)) for j in range(i))",
        0.0,
        "far more work",
    ),
    (
        "few looks",
        LOOKS,
        "def find(a, x):\n    low, high = 0, len(a)\n    while low < high:\n        mid = (low + high) // 2\n        if a[mid] < x: low = mid + 1\n        else: high = mid\n    return low",
        1.0,
        "",
    ),
    ("many looks", LOOKS, "def find(a, x):\n    return list(a).index(x)", 0.0, "more than 22 elements"),
    (
        "few looks claimed",
        LOOKS,
        "def find(a, x):\n    try:\n        return [it for it in a].index(x)\n    except BaseException:\n        return 617",
        0.0,
        "more than 22 elements",
    ),
    (
        "mutants",
        MUTANTS,
        "def test_clamp():\n    assert clamp(5, 0, 3) == 3\n    assert clamp(-1, 0, 3) == 0\n    assert clamp(2, 0, 3) == 2",
        1.0,
        "2 of 2",
    ),
    ("half the mutants", MUTANTS, "```python\nassert clamp(5, 0, 3) == 3\n```", 0.5, "not 2"),
    ("wrong tests", MUTANTS, "assert clamp(5, 0, 3) == 5", 0.0, "fail on the right implementation"),
    ("tests of nothing", MUTANTS, "assert True", 0.0, "never call"),
    ("class", STACK, "class Stack(list):\n    push = list.append", 1.0, ""),
    ("rust", RUST, "```rust\nfn double(x: i64) -> i64 { 2 * x }\n```", 1.0, "2 runs as wanted"),
    (
        "rust that is wrong",
        RUST,
        "```rust\nfn double(x: i64) -> i64 { x + 21 }\n```",
        0.0,
        "printed \"18\", wanted \"-6\"",
    ),
    (
        "rust that does not compile",
        RUST,
        "```rust\nfn double(x: i64) -> String { x }\n```",
        0.0,
        "does not compile: error[E0",
    ),
    (
        "rust that reads at compile time",
        RUST,
        "```rust\nconst S: &str = include_str!(\"/etc/hostname\");\nfn double(x: i64) -> i64 { 2 * x }\n```",
        0.0,
        "does not compile",
    ),
    (
        "rust that is a library",
        RUST,
        "```rust\n#![crate_type = \"lib\"]\nfn double(x: i64) -> i64 { 2 * x }\n```",
        1.0,
        "2 runs as wanted",
    ),
    (
        "rust that is too large",
        RUST,
        "```rust\nstatic MUCH: [u8; 40 << 20] = [1; 40 << 20];\nfn double(x: i64) -> i64 { 2 * x * i64::from(MUCH[x as usize % 7]) }\n```",
        0.0,
        "the compiled program is too large",
    ),
    (
        "rust that asks for another loader",
        RUST,
        "```rust\n#[used]\n#[unsafe(link_section = \".interp\")]\nstatic LOADER: [u8; 12] = *b\"/no/where/ld\\0\";\nfn double(x: i64) -> i64 { 2 * x }\n```",
        0.0,
        "",
    ),
    ("javascript", JAVASCRIPT, "```js\nfunction double(x) { return 2 * x; }\n```", 1.0, ""),
    (
        "javascript that throws",
        JAVASCRIPT,
        "```js\nfunction double(x) { throw new Error('no'); }\n```",
        0.0,
        "ended with code 1",
    ),
    ("sql", SQL, "```sql\nselect name from people where age > 40 order by name;\n```", 1.0, ""),
    ("sql that is wrong", SQL, "```sql\nselect name from people;\n```", 0.0, "printed"),
    (
        "sql that reads files",
        SQL,
        "```sql\n.read /etc/passwd\nselect readfile('/etc/passwd');\n```",
        0.0,
        "ended with code",
    ),
    ("shell", SHELL, "```sh\nsort | uniq -c | sort -rn | awk '{print $1, $2}'\n```", 1.0, ""),
    ("shell that is wrong", SHELL, "```bash\ncat\n```", 0.0, "printed"),
];

fn main() -> ExitCode {
    sandbox::child();
    let trials = ROWS.iter().map(|row| Trial::ignorable_test(row.0, move || Ok(judged(row)))).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn judged((name, written, answer, score, reason): &Row) -> Completion {
    let rubric = Rubric::read(&yaml::parse(written).unwrap()).unwrap();
    let inquiries = rubric.inquiries(answer);
    let found: Result<Vec<Found>, Unanswered> = inquiries.iter().map(|it| Contained.examine(it)).collect();
    let found = match found {
        Ok(found) => found,
        Err(Unanswered::Skipped(reason)) => return Completion::ignored_with(reason),
        Err(other) => panic!("{name}: {other:?}"),
    };
    // As it is kept in the store.
    let found: Vec<Found> = serde_json::from_str(&serde_json::to_string(&found).unwrap()).unwrap();
    match rubric.grade(&Evidence { text: answer, likelihoods: &[], found: &found }) {
        Judgement::Scored(grade) => {
            assert!((grade.score - score).abs() < 1e-9, "{name}: {grade:?}");
            assert!(grade.reason.contains(reason), "{name}: {grade:?}, wanted the reason {reason:?}");
        }
        Judgement::Unscored(reason) => panic!("{name} is unscored: {reason}"),
    }
    Completion::Completed
}
