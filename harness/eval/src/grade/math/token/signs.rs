//! Signs: what commands, words and single characters mean.

use super::super::tree::Function;
use super::{Bracket, Relation, Token};

pub(super) fn word_token(word: &str) -> Token {
    match word {
        "pi" | "Pi" | "PI" => Token::Pi,
        "inf" | "infinity" | "Infinity" | "oo" => Token::Infinity,
        "sqrt" | "root" => Token::Root(None),
        "cbrt" => Token::Root(Some(3)),
        "U" => Token::Cup,
        _ => Function::named(word).map_or_else(|| Token::Word(word.to_owned()), Token::Function),
    }
}

pub(super) fn named(command: &str) -> Option<Token> {
    use Relation::{AtLeast, AtMost, Equal, Greater, In, Less, Near, Unequal};
    Some(match command {
        "frac" | "dfrac" | "tfrac" | "cfrac" => Token::Fraction,
        "binom" | "dbinom" | "tbinom" => Token::Binomial,
        "sqrt" => Token::Root(None),
        "pi" => Token::Pi,
        "infty" => Token::Infinity,
        "cdot" | "times" | "ast" | "cdotp" => Token::Times,
        "div" => Token::Slash,
        "pm" => Token::PlusMinus,
        "mp" => Token::MinusPlus,
        "cup" | "bigcup" => Token::Cup,
        "cap" | "bigcap" => Token::Cap,
        "setminus" | "backslash" | "smallsetminus" => Token::Without,
        "colon" => Token::Colon,
        "implies" | "Rightarrow" | "Longrightarrow" | "therefore" => Token::Implies,
        "emptyset" | "varnothing" => Token::EmptySet,
        "le" | "leq" | "leqslant" => Token::Relation(AtMost),
        "ge" | "geq" | "geqslant" => Token::Relation(AtLeast),
        "lt" => Token::Relation(Less),
        "gt" => Token::Relation(Greater),
        "ne" | "neq" => Token::Relation(Unequal),
        "equiv" => Token::Relation(Equal),
        "approx" | "simeq" | "cong" => Token::Relation(Near),
        "in" => Token::Relation(In),
        "langle" => Token::Open(Bracket::Angle),
        "rangle" => Token::Close(Bracket::Angle),
        "lfloor" => Token::Open(Bracket::Floor),
        "rfloor" => Token::Close(Bracket::Floor),
        "lceil" => Token::Open(Bracket::Ceil),
        "rceil" => Token::Close(Bracket::Ceil),
        "lvert" => Token::Open(Bracket::Bar),
        "rvert" => Token::Close(Bracket::Bar),
        "lbrace" => Token::Open(Bracket::Curly),
        "rbrace" => Token::Close(Bracket::Curly),
        "vert" | "mid" => Token::Bar,
        "circ" | "degree" => Token::Degree,
        "lor" | "vee" => Token::Word("or".to_owned()),
        "land" | "wedge" => Token::Word("and".to_owned()),
        _ => {
            let function = Function::named(command).map(Token::Function);
            return function.or_else(|| GREEK.iter().find(|it| it.1 == command).map(|it| Token::Name(it.1)));
        }
    })
}

pub(super) fn sign(letter: char) -> Option<Token> {
    use Relation::{AtLeast, AtMost, Equal, Greater, In, Less, Near, Unequal};
    Some(match letter {
        'π' => Token::Pi,
        '∞' => Token::Infinity,
        '√' => Token::Root(None),
        '∛' => Token::Root(Some(3)),
        '∜' => Token::Root(Some(4)),
        '(' => Token::Open(Bracket::Round),
        ')' => Token::Close(Bracket::Round),
        '[' => Token::Open(Bracket::Square),
        ']' => Token::Close(Bracket::Square),
        '{' => Token::Open(Bracket::Group),
        '}' => Token::Close(Bracket::Group),
        '⟨' | '〈' => Token::Open(Bracket::Angle),
        '⟩' | '〉' => Token::Close(Bracket::Angle),
        '⌊' => Token::Open(Bracket::Floor),
        '⌋' => Token::Close(Bracket::Floor),
        '⌈' => Token::Open(Bracket::Ceil),
        '⌉' => Token::Close(Bracket::Ceil),
        '|' => Token::Bar,
        '+' => Token::Plus,
        '-' | '−' | '–' | '‐' | '‑' => Token::Minus,
        '±' => Token::PlusMinus,
        '∓' => Token::MinusPlus,
        '*' | '×' | '·' | '⋅' | '∙' | '•' => Token::Times,
        '/' | '÷' | '∕' | '⁄' => Token::Slash,
        '^' => Token::Caret,
        '_' => Token::Under,
        '!' => Token::Bang,
        '%' => Token::Percent,
        '°' | 'º' => Token::Degree,
        '€' | '£' | '¥' | '₹' => Token::Currency(letter),
        ',' | '，' | '、' => Token::Comma,
        ';' | '；' => Token::Semicolon,
        '.' | '。' => Token::Dot,
        '&' => Token::And,
        '=' | '≡' => Token::Relation(Equal),
        '≈' | '≃' | '≅' => Token::Relation(Near),
        '<' => Token::Relation(Less),
        '>' => Token::Relation(Greater),
        '≤' | '⩽' => Token::Relation(AtMost),
        '≥' | '⩾' => Token::Relation(AtLeast),
        '≠' => Token::Relation(Unequal),
        '∈' => Token::Relation(In),
        '∪' => Token::Cup,
        '∩' => Token::Cap,
        '∖' => Token::Without,
        ':' | '∶' => Token::Colon,
        '⇒' | '⟹' | '∴' => Token::Implies,
        '∅' => Token::EmptySet,
        'ℝ' => Token::Reals,
        _ => Token::Name(greek(letter)?),
    })
}

const GREEK: [(char, &str); 20] = [
    ('α', "alpha"),
    ('β', "beta"),
    ('γ', "gamma"),
    ('δ', "delta"),
    ('ε', "epsilon"),
    ('ζ', "zeta"),
    ('η', "eta"),
    ('θ', "theta"),
    ('κ', "kappa"),
    ('λ', "lambda"),
    ('μ', "mu"),
    ('ν', "nu"),
    ('ξ', "xi"),
    ('ρ', "rho"),
    ('σ', "sigma"),
    ('τ', "tau"),
    ('φ', "phi"),
    ('χ', "chi"),
    ('ψ', "psi"),
    ('ω', "omega"),
];

pub(super) fn greek(letter: char) -> Option<&'static str> {
    GREEK.iter().find(|it| it.0 == letter).map(|it| it.1)
}

pub(super) fn vulgar(letter: char) -> Option<(u32, u32)> {
    Some(match letter {
        '½' => (1, 2),
        '⅓' => (1, 3),
        '⅔' => (2, 3),
        '¼' => (1, 4),
        '¾' => (3, 4),
        '⅕' => (1, 5),
        '⅖' => (2, 5),
        '⅗' => (3, 5),
        '⅘' => (4, 5),
        '⅙' => (1, 6),
        '⅚' => (5, 6),
        '⅛' => (1, 8),
        '⅜' => (3, 8),
        '⅝' => (5, 8),
        '⅞' => (7, 8),
        _ => return None,
    })
}

pub(super) fn raised(letter: char) -> Option<char> {
    "⁰¹²³⁴⁵⁶⁷⁸⁹⁻⁺".chars().zip("0123456789-+".chars()).find(|it| it.0 == letter).map(|it| it.1)
}

pub(super) fn lowered(letter: char) -> Option<u32> {
    "₀₁₂₃₄₅₆₇₈₉".chars().zip(0..).find(|it| it.0 == letter).map(|it| it.1)
}
