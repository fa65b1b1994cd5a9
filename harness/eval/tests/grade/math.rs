//! Mathematics.

use proptest::prelude::*;
use rstest::rstest;

use crate::{check, check_fast, grade};

#[track_caller]
fn score(value: &str, answer: &str) -> f64 {
    grade(&written(value), answer).score
}

/// A value in YAML: a mapping as it is, else text.
fn written(value: &str) -> String {
    if value.starts_with("{ value:") {
        format!("math: {value}")
    } else {
        format!("math: '{}'", value.replace('\'', "''"))
    }
}

#[track_caller]
fn equal(value: &str, answer: &str) {
    let boxed = format!("So $\\boxed{{{answer}}}$.");
    let grade = grade(&written(value), &boxed);
    assert!(grade.score > 0.5, "{value} is not met by {answer}: {grade:?}");
}

#[track_caller]
fn different(value: &str, answer: &str) {
    let boxed = format!("So $\\boxed{{{answer}}}$.");
    let grade = grade(&written(value), &boxed);
    assert!(grade.score < 0.5, "{value} is met by {answer}: {grade:?}");
}

#[rstest]
#[case("1/2", "\\frac{1}{2}")]
#[case("1/2", "\\dfrac12")]
#[case("1/2", "\\tfrac{1}{2}")]
#[case("1/2", "\\frac 12")]
#[case("1/2", "\\frac1{2}")]
#[case("1/2", "½")]
#[case("1/2", "0.5")]
#[case("1/2", ".50")]
#[case("1/2", "2^{-1}")]
#[case("1/2", "2⁻¹")]
#[case("1/2", "\\left(\\frac{4}{8}\\right)")]
#[case("5/2", "2\\frac{1}{2}")]
#[case("5/2", "2 1/2")]
#[case("5/2", "2½")]
#[case("-5/2", "-2\\frac12")]
#[case("1/3", "0.\\overline{3}")]
#[case("1/7", "0.\\overline{142857}")]
#[case("1234567", "1,234,567")]
#[case("1234567", "1{,}234{,}567")]
#[case("1234567", "1\\,234\\,567")]
#[case("1234567", "1\u{202f}234\u{202f}567")]
#[case("1500", "1.5\\times10^3")]
#[case("1500", "1.5 \\cdot 10^{3}")]
#[case("1500", "1.5e3")]
#[case("1024", "2^{10}")]
#[case("1024", "2^10")]
#[case("1024", "2**10")]
#[case("512", "2^{3^2}")]
#[case("-4", "-2^2")]
#[case("2\\sqrt{3}", "\\sqrt{12}")]
#[case("2\\sqrt{3}", "2√3")]
#[case("2\\sqrt{3}", "2*sqrt(3)")]
#[case("2\\sqrt{3}", "\\frac{6}{\\sqrt{3}}")]
#[case("2\\sqrt{3}", "\\sqrt 12")]
#[case("2", "\\sqrt[3]{8}")]
#[case("2", "∛8")]
#[case("-2", "\\sqrt[3]{-8}")]
#[case("-2", "(-8)^{1/3}")]
#[case("1/\\sqrt{2}", "\\frac{\\sqrt2}{2}")]
#[case("\\sqrt{2}+\\sqrt{3}", "\\sqrt{5+2\\sqrt{6}}")]
#[case("2\\pi", "2π")]
#[case("2\\pi", "\\pi\\cdot 2")]
#[case("2\\pi", "2 pi")]
#[case("\\frac{\\pi}{6}", "\\arcsin\\frac12")]
#[case("\\frac{\\pi}{6}", "\\sin^{-1}(1/2)")]
#[case("\\frac12", "\\sin 30^\\circ")]
#[case("\\frac12", "\\sin(30^{\\circ})")]
#[case("1", "\\sin^2 x + \\cos^2 x")]
#[case("3", "\\log_2 8")]
#[case("-3", "\\log_2 \\frac18")]
#[case("3\\ln 2", "\\ln 8")]
#[case("2\\log 3", "log(9)")]
#[case("e^2", "\\exp(2)")]
#[case("-1", "e^{i\\pi}")]
#[case("3+4i", "4i + 3")]
#[case("5", "|3+4i|")]
#[case("5", "\\left|-5\\right|")]
#[case("3", "\\lfloor \\pi \\rfloor")]
#[case("10", "\\binom{5}{2}")]
#[case("120", "5!")]
#[case("x^2-1", "(x-1)(x+1)")]
#[case("x^2-1", "(x+1)(x-1)")]
#[case("x^2 - 1", "-(1 - x^{2})")]
#[case("x^2-1", "x² − 1")]
#[case("\\frac{1}{x+1}", "1/(x+1)")]
#[case("\\frac{x+1}{x^2-1}", "\\frac{1}{x-1}")]
#[case("2xy", "2yx")]
#[case("2xy", "2 x \\cdot y")]
#[case("2xy", "2*x*y")]
#[case("xy", "x y")]
#[case("x_1 + x_2", "x_{2}+x_{1}")]
#[case("x_1", "x₁")]
#[case("\\theta^2", "θ²")]
#[case("\\sin(2x)", "2\\sin x\\cos x")]
#[case("\\sin 2x", "2 sin(x) cos(x)")]
#[case("e^{x+y}", "e^x e^y")]
#[case("\\sqrt{x^2}", "|x|")]
#[case("{ value: 'x', variables: { x: positive } }", "\\sqrt{x^2}")]
#[case("{ value: '2\\ln x', variables: { x: positive } }", "\\ln(x^2)")]
#[case("{ value: '1', variables: { n: whole } }", "(-1)^{2n}")]
#[case("{ value: 'n!', variables: { n: whole } }", "n \\cdot (n-1)!")]
#[case("{ value: 'speed / 2', variables: { speed: real } }", "0.5 speed")]
#[case("(1, 2)", "(1,2)")]
#[case("(1, 2)", "\\left(\\frac{2}{2}, 2\\right)")]
#[case("(1, 234)", "(1,234)")]
#[case("(1, 2, 3)", "[1, 2, 3]")]
#[case("(1, 2, 3)", "\\langle 1, 2, 3\\rangle")]
#[case("(1, 2, 3)", "\\begin{pmatrix} 1 \\\\ 2 \\\\ 3 \\end{pmatrix}")]
#[case("(1, 2)", "1, 2")]
#[case(
    "\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}",
    "\\begin{bmatrix} 1 & 2 \\\\ 3 & \\frac{8}{2} \\end{bmatrix}"
)]
#[case("\\begin{pmatrix}1&2\\\\3&4\\end{pmatrix}", "[[1, 2], [3, 4]]")]
#[case("\\begin{pmatrix}1&2\\end{pmatrix}", "\\begin{pmatrix}1\\\\2\\end{pmatrix}")]
#[case("\\{1, 2, 3\\}", "\\{3, 1, 2\\}")]
#[case("\\{1, 2, 3\\}", "{1, 2, 3, 3}")]
#[case("\\{1, 2, 3\\}", "1, 2 \\text{ and } 3")]
#[case("\\{1000, 2000\\}", "1000,2000")]
#[case("1, -1", "\\pm 1")]
#[case("1, -1", "x = 1 \\text{ or } x = -1")]
#[case("1, -1", "x = 1, x = -1")]
#[case("1, -1", "-1, 1")]
#[case("\\frac{3 \\pm \\sqrt{5}}{2}", "\\frac{3-\\sqrt5}{2}, \\frac{3+\\sqrt5}{2}")]
#[case("\\emptyset", "∅")]
#[case("\\emptyset", "\\{\\}")]
#[case("[1, 2)", "[1,2)")]
#[case("[1, 2)", "1 \\le x < 2")]
#[case("[1, 2)", "x \\in [1, \\frac{4}{2})")]
#[case("(5, \\infty)", "x > 5")]
#[case("(5, \\infty)", "5 < x")]
#[case("(-\\infty, 3) \\cup (5, \\infty)", "(5, ∞) ∪ (-∞, 3)")]
#[case("(-\\infty, 3) \\cup (5, \\infty)", "x < 3 \\text{ or } x > 5")]
#[case("(-\\infty, 2) \\cup (2, \\infty)", "x \\neq 2")]
#[case("[1, 3]", "[1, 2) \\cup [2, 3]")]
#[case("(-\\infty, \\infty)", "\\mathbb{R}")]
#[case("y = 2x + 1", "y = 1 + 2x")]
#[case("y = 2x + 1", "2x - y + 1 = 0")]
#[case("y = 2x + 1", "2x + 1")]
#[case("x^2 + y^2 = 4", "\\frac{x^2}{4} + \\frac{y^2}{4} = 1")]
#[case("42", "x = 42")]
#[case("42", "6 \\cdot 7 = 42")]
#[case("75\\%", "75")]
#[case("75\\%", "75\\%")]
#[case("75\\%", "0.75")]
#[case("75", "75\\%")]
#[case("5", "5\\text{ cm}")]
#[case("5", "5 apples")]
#[case("5", "\\$5")]
#[case("90", "90^\\circ")]
#[case("5\\text{ m}", "5")]
#[case("5\\text{ m}", "5 m")]
#[case("5\\text{ m}", "500 cm")]
#[case("5\\text{ m}", "500\\ \\mathrm{cm}")]
#[case("5\\text{ m}", "0.005\\text{ kilometers}")]
#[case("36\\text{ km/h}", "10\\text{ m/s}")]
#[case("36\\text{ km/h}", "10 m/s")]
#[case("36\\text{ km/h}", "36 kilometers per hour")]
#[case("1\\text{ m}^2", "10000\\text{ cm}^2")]
#[case("1\\text{ m}^2", "10000 square centimeters")]
#[case("1\\text{ L}", "1000 mL")]
#[case("\\$1.50", "150 cents")]
#[case("{ value: '5\\text{ m}', unit: true }", "5 m")]
#[case("\\text{Yes}", "\\text{yes}")]
#[case("\\text{Yes}", "Yes.")]
#[case("{ value: '1, 2', ordered: true }", "1, 2")]
#[case("{ value: '\\frac{1}{2}', simplified: true }", "\\frac12")]
#[case("{ value: '2\\sqrt{3}', simplified: true }", "2\\sqrt3")]
#[case("{ value: '3x + 2', simplified: true }", "2 + 3x")]
#[case("\\infty", "∞")]
#[case("-\\infty", "-\\infty")]
#[case("𝑥 + 1", "x+1")]
#[case("12", "１２")]
#[case("52_8", "52_{8}")]
#[case("52_8", "52₈")]
#[case("10^{100}", "10^{99} \\cdot 10")]
// As models write them.
#[case("1/3", "0.\\dot{3}")]
#[case("1/3", "0.\\dot3")]
#[case("1/6", "0.1\\dot{6}")]
#[case("2/11", "0.\\dot{1}\\dot{8}")]
#[case("1/7", "0.\\dot{1}4285\\dot{7}")]
#[case("1/6", "0.1(6)")]
#[case("1/3", "0.(3)")]
#[case("1/6", "0.16\u{305}")]
#[case("1/6", "0.1\\bar{6}")]
#[case("3/2", "3:2")]
#[case("3:2", "6 : 4")]
#[case("3:2", "\\frac{3}{2}")]
#[case("3", "\\log_{2}{8}")]
#[case("3", "log2(8)")]
#[case("\\log_2 n", "log2 n")]
#[case("n\\log_2 n", "n \\cdot \\log2(n)")]
#[case("2", "\\lg 100")]
#[case("2", "\\log_{10}100")]
#[case("2", "log10(100)")]
#[case("\\sqrt{2}", "\\sqrt{2} \\approx 1.414")]
#[case("\\sqrt{2}", "x = \\sqrt{2} \\approx 1.414")]
#[case("1.414", "\\sqrt{2} ≈ 1.414")]
#[case("x = \\sqrt{2}", "x = \\sqrt{2} \\approx 1.414")]
#[case("5, -5", "x = 5 \\quad \\text{or} \\quad x = -5")]
#[case("5, -5", "x = \\pm 5")]
#[case("5, -5", "x_1 = 5, x_2 = -5")]
#[case("5, -5", "x \\in \\{-5, 5\\}")]
#[case("5, -5", "\\left\\{5, -5\\right\\}")]
#[case("3", "x^2 = 9 \\implies x = 3")]
#[case("(5, \\infty)", "\\{x \\mid x > 5\\}")]
#[case("(5, \\infty)", "\\{x : x > 5\\}")]
#[case("(5, \\infty)", "\\left\\{x \\in \\mathbb{R} \\middle| x > 5\\right\\}")]
#[case("(2, 5]", "x > 2 \\text{ and } x \\leq 5")]
#[case("(2, 5]", "x > 2, x \\le 5")]
#[case("(2, 5]", "x > 2 \\land x \\le 5")]
#[case("(2, 5]", "(2, \\infty) \\cap (-\\infty, 5]")]
#[case("(-\\infty, 3) \\cup (5, \\infty)", "x < 3, x > 5")]
#[case("(-\\infty, 3) \\cup (5, \\infty)", "x \\in (-\\infty, 3) \\cup (5, \\infty)")]
#[case("(-\\infty, 2) \\cup (2, \\infty)", "\\mathbb{R} \\setminus \\{2\\}")]
#[case("(-\\infty, 2) \\cup (2, 3) \\cup (3, \\infty)", "x \\ne 2 \\text{ and } x \\ne 3")]
#[case("\\mathbb{R} \\setminus \\{2, 3\\}", "(-\\infty, 2) \\cup (2, 3) \\cup (3, \\infty)")]
#[case("\\begin{pmatrix}1\\\\2\\end{pmatrix}", "\\begin{pmatrix} 1 \\\\[4pt] 2 \\end{pmatrix}")]
#[case("(1, 2)", "\\Biggl(1,\\ 2\\Biggr)")]
#[case("5", "\\phantom{1}5")]
#[case("5", "5 \\hspace{1cm}")]
#[case("5", "\\color{blue}{5}")]
#[case("10\\text{ m/s}", "10\\,\\frac{\\text{m}}{\\text{s}}")]
#[case("10\\text{ m/s}", "36\\ \\frac{\\text{km}}{\\text{h}}")]
#[case("10\\text{ m/s}", "10\\ \\text{m}\\cdot\\text{s}^{-1}")]
#[case("10", "10\\,\\frac{\\text{m}}{\\text{s}}")]
#[case("\\text{(C)}", "\\text{C}")]
#[case("\\text{(C)}", "C")]
#[case("\\text{(C)}", "(C)")]
#[case("\\text{(C)}", "\\textbf{(C)}")]
#[case("\\text{Yes}", "\\textbf{Yes.}")]
#[case("314000", "3.14 \\times 10^5")]
#[case("1000", "\\$1{,}000")]
#[case("1000", "$1{,}000$")]
#[case("50\\%", "50\\%")]
#[case("\\frac{3}{2}", "1\\frac{1}{2}")]
#[case("\\frac{3}{2}", "1 \\dfrac{1}{2}")]
#[case("-\\frac{3}{2}", "-1\\frac12")]
#[case("2", "\\sqrt[3]{8}")]
#[case("\\frac{\\sqrt[3]{4}}{2}", "2^{-1/3}")]
#[case("e^{i\\pi/2}", "i")]
#[case("\\frac{10!}{7!}", "720")]
#[case("45^\\circ", "45")]
#[case("45^\\circ", "45°")]
#[case("45^\\circ", "45\\text{ degrees}")]
#[case("\\{\\frac12, 3\\}", "\\left\\{3, 0.5\\right\\}")]
#[case("2\\pi r", "2\\cdot\\pi\\cdot r")]
#[case("\\ln 2", "ln(2)")]
fn are_equal(#[case] value: &str, #[case] answer: &str) {
    equal(value, answer);
}

#[rstest]
#[case("1/2", "0.49999999")]
#[case("1/3", "0.333333333333")]
#[case("\\sqrt{2}", "1.41421356")]
#[case("\\pi", "3.14159265")]
#[case("\\pi", "\\frac{355}{113}")]
#[case("2", "-2")]
#[case("52_8", "42")]
#[case("52_8", "52_9")]
#[case("52_8", "52")]
#[case("-2", "\\sqrt{4}")]
#[case("1/2x", "1/(2x)")]
#[case("x^2 - 1", "x^2 + 1")]
#[case("x^2 - 1", "x^2 - 1 + 0.000000001")]
#[case("x", "\\sqrt{x^2}")]
#[case("x", "y")]
#[case("x", "х")]
#[case("2\\ln x", "\\ln(x^2)")]
#[case("(1, 2)", "(2, 1)")]
#[case("(1, 2)", "[1, 2]")]
#[case("(1, 2)", "(1, 2, 3)")]
#[case("[1, 2)", "(1, 2]")]
#[case("[1, 2)", "1 < x < 2")]
#[case("[1, 2)", "[1, 2) \\cup (3, 4)")]
#[case("\\{1, 2\\}", "\\{1, 2, 3\\}")]
#[case("\\{1, 2, 3\\}", "\\{1, 2\\}")]
#[case("1, 1", "1")]
#[case("1, -1", "1")]
#[case("1, -1", "1, -1, 0")]
#[case("1234", "1, 234")]
#[case("\\emptyset", "0")]
#[case("y = 2x + 1", "y = 2x - 1")]
#[case("y = 2x + 1", "0 = 0")]
#[case("x^2 + y^2 = 4", "x^2 + y^2 = 5")]
#[case("0.75", "75\\%")]
#[case("5\\text{ m}", "5 cm")]
#[case("5\\text{ m}", "5 kg")]
#[case("5\\text{ m}", "5 m^2")]
#[case("{ value: '5\\text{ m}', unit: true }", "5")]
#[case("\\text{Yes}", "\\text{No}")]
#[case("\\text{Yes}", "1")]
#[case("5", "\\text{five}")]
#[case("{ value: '1, 2', ordered: true }", "2, 1")]
#[case("{ value: '\\frac{1}{2}', simplified: true }", "\\frac{2}{4}")]
#[case("{ value: '2\\sqrt{3}', simplified: true }", "\\sqrt{12}")]
#[case("{ value: '42', simplified: true }", "6 \\cdot 7")]
#[case("{ value: '42', simplified: true }", "40+2")]
#[case("{ value: '3x + 2', simplified: true }", "x + 2x + 2")]
#[case("{ value: '8', simplified: true }", "2^3")]
#[case("{ value: '\\frac{1}{2}', simplified: true }", "\\frac{\\frac{1}{1}}{2}")]
#[case("\\infty", "-\\infty")]
#[case("\\infty", "10^{300}")]
// Made to harm, or to look right.
#[case("5", "\\pi 10^{30} + 7 - \\pi 10^{30}")]
#[case("5", "10^{30} + 7 - 10^{30}")]
#[case("0", "0/0")]
#[case("0", "1/\\infty")]
#[case("1", "0^0")]
#[case("1", "\\frac{0}{0}")]
#[case("1", "NaN")]
#[case("5", "9^{9^{9^{9^{9}}}}")]
#[case("5", "9^{9^{9^{9^{9}}}} - 9^{9^{9^{9^{9}}}} + 5")]
#[case("5", "((99999!)!)!")]
#[case("5", "1e999999999")]
#[case("5", "10^{10^{100}}")]
#[case("5", "\\input{/etc/passwd}")]
#[case("5", "\\def\\x{5}\\x")]
#[case("5", "__import__('os').system('id')")]
#[case("5", "5 if True else 6")]
#[case("5", "٥")]
#[case("5", "⑤")]
#[case("5", "5 6")]
#[case("5", "5 \\text{ or } 6")]
#[case("5", "")]
#[case("5", "{{{{{{")]
#[case("5", "5)")]
#[case("x", "x x^{-1}")]
#[case("5", "5 ≈ 7")]
#[case("5", "7 ≈ 5 ≈ 9")]
#[case("\\sqrt{2}", "\\sqrt{3} \\approx 1.41")]
#[case("(2, 5]", "x > 2 \\text{ or } x \\le 5")]
#[case("(-\\infty, 3) \\cup (5, \\infty)", "x < 3 \\text{ and } x > 5")]
#[case("(-\\infty, 2) \\cup (2, \\infty)", "\\mathbb{R} \\setminus \\{3\\}")]
#[case("3:2", "2:3")]
#[case("3:2", "3:2:1")]
#[case("1/3", "0.3")]
#[case("1/3", "0.\\dot{3}1")]
#[case("10\\text{ m/s}", "10\\,\\frac{\\text{s}}{\\text{m}}")]
#[case("\\text{(C)}", "\\text{(B)}")]
#[case("\\text{(C)}", "B")]
#[case("\\text{(C)}", "\\text{(B) or (C)}")]
#[case("\\text{Yes}", "\\text{Yes and no}")]
#[case("\\text{Yes}", "\\text{Yes or no}")]
#[case("5", "1, 2, 3, 4, 5")]
#[case("5", "\\{1, 2, 3, 4, 5\\}")]
#[case("5", "15")]
#[case("5", "5.0000000001")]
#[case("5", "\\infty - \\infty + 5")]
#[case("5", "5 + 0/0")]
#[case("5", "10^{10^{10!}}")]
#[case("5", "5\\text{ square }\\text{m}^{2147483647}\\text{ or } 7")]
#[case("5\\text{ m}", "5\\text{ square }\\text{m}^{2147483647}")]
#[case("5", "五")]
#[case("12", "1\u{200b}2")]
#[case("5", "५")]
#[case("5", "\\frac{5}{}")]
#[case("5", "\\frac{}{}")]
#[case("5", "=5=6")]
fn are_different(#[case] value: &str, #[case] answer: &str) {
    different(value, answer);
}

/// Which part of an answer is read.
#[rstest]
#[case("The answer is $\\frac{3}{4}$, because $x > 2$.", "3/4")]
#[case("The answer is 3/4.", "3/4")]
#[case("The answer is 3/4 because 2 is less than 3.", "3/4")]
#[case("**Answer:** 3/4", "3/4")]
#[case("Final answer:\n\n$$\\frac{3}{4}$$\n", "3/4")]
#[case("#### 3/4", "3/4")]
#[case("The answer is x = 3/4", "3/4")]
#[case("The final answer is: $x = \\frac{3}{4}$. I hope it is correct.", "3/4")]
#[case("First $\\frac{1}{4}$, then $\\frac{3}{4}$ in all.", "3/4")]
#[case("We get \\(1/4\\) and then\n\\[ x = \\frac{3}{4}. \\]\nDone.", "3/4")]
#[case("1/4 + 1/2\n= 3/4\n", "3/4")]
#[case("So the total is 3/4", "3/4")]
#[case("Total: 3/4", "3/4")]
#[case("\\boxed{1/4}, no: \\boxed{\\frac{3}{4}}. See $5$.", "3/4")]
#[case("\\boxed{\\frac{3}{4}} and the answer is 5", "3/4")]
#[case("The answer is \\boxed{\\dfrac{3}{4}\\text{ m}}.", "3/4")]
#[case("It costs $5 or $7.\nThe rest is 3/4", "3/4")]
#[case("So the solutions are $x = 3$ or $x = -3$.", "3, -3")]
#[case("The answer is $3$ or $-3$.", "3, -3")]
#[case("The answers are $3$ and $-3$.", "3, -3")]
#[case("The answers are 3 and -3", "3, -3")]
#[case("The answer is $1$, $2$, $3$.", "\\{1, 2, 3\\}")]
#[case("Since $x = 2$, $y = 3$.", "3")]
#[case("The answer is $3$ and $x$ is not needed.", "3")]
#[case("The answer is $3$, $x$ being whole.", "3")]
#[case("The answer is approximately 3.14", "3.14")]
#[case("The answer is exactly $\\frac{3}{4}$.", "3/4")]
#[case("1/4 plus 1/2 equals 3/4", "3/4")]
#[case("So the day is Tuesday.", "\\text{Tuesday}")]
#[case("The answer is Tuesday because it rains on Monday.", "\\text{Tuesday}")]
#[case("Yes, because 2 < 3.", "\\text{Yes}")]
#[case("The total is 3/4 because 1/4 is left.", "3/4")]
fn is_final(#[case] answer: &str, #[case] value: &str) {
    check(&written(value), answer, 1.0, "found");
}

/// An answer that leaves a choice, or takes itself back, is none.
#[rstest]
#[case("The answer is $5$ or $6$.", "5")]
#[case("The answer is $6$ or $5$.", "5")]
#[case("So $x = 6$ or $x = 5$.", "5")]
#[case("The answer is 5 or 6", "5")]
#[case("\\boxed{5} \\boxed{6}", "5")]
#[case("The answer is not 5.", "5")]
#[case("The answer is not $5$.", "5")]
#[case("It is not $5$.", "5")]
#[case("It is $x \\neq 5$.", "5")]
#[case("The answer is not Tuesday.", "\\text{Tuesday}")]
#[case("It is Tuesday or Wednesday.", "\\text{Tuesday}")]
fn leaves_a_choice(#[case] answer: &str, #[case] value: &str) {
    check(&written(value), answer, 0.0, "");
}

/// Expressions that are short, and long to compute.
#[test]
fn no_expression_is_slow() {
    let expressions = [
        "9^".repeat(900),
        "(1+".repeat(600),
        "\\sqrt{".repeat(250),
        format!("{}5", "x^{40}+".repeat(280)),
        "1/".repeat(900),
        format!("({}1)^{{2000}}", "x+y+z+".repeat(200)),
        "2000!".repeat(300),
        "\\binom{2000}{1000}".repeat(80),
        format!("{}1", "\\log_2 2^{39000}\\cdot".repeat(90)),
        format!("\\log_{{3}} 3^{{25000}} + {}", "1".repeat(1800)),
        format!("{}5", "3^{25000}/7^{14000}+".repeat(90)),
        format!("{}5", "x^{300}/(x+1)^{300}+".repeat(90)),
        format!("\\sqrt[64]{{{}}}", "2^{39000}+".repeat(150) + "1"),
        vec!["1"; 900].join(","),
        vec!["x"; 900].join(","),
        vec!["[1,2)"; 300].join("\\cup"),
        vec!["x>1"; 300].join(","),
        vec!["x \\ne 1"; 200].join(" \\text{ and } "),
        "\\{".repeat(600),
    ];
    for expression in expressions {
        let answer = format!("\\boxed{{{expression}}}");
        for value in [
            "5",
            "x^2 + 1",
            "1, 2",
            "(1, 2)",
            "\\{1, 2\\}",
            "(-\\infty, 2)",
            "y = x",
            "\\text{Yes}",
            "5\\text{ m}",
        ] {
            check_fast(&written(value), &answer);
            assert!(score(value, &answer) < 0.5, "{value} is met by {answer:.40}…");
        }
    }
}

#[test]
fn says_what_is_wrong() {
    check("math: '3/4'", "\\boxed{\\frac{1}{4}}", 0.0, "wanted 3/4, found \\frac{1}{4}");
    check("math: '3/4'", "\\boxed{\\foo}", 0.0, "`\\foo` is unknown");
    check("math: '3/4'", "", 0.0, "found nothing");
    check("math: '3/4'", &format!("\\boxed{{{}}}", "(".repeat(900)), 0.0, "");
    check(
        "math: '3/4'",
        &format!("\\boxed{{{}1{}}}", "(".repeat(900), ")".repeat(900)),
        0.0,
        "nested too deep",
    );
    check("math: '3/4'", &format!("\\boxed{{{}1}}", "-".repeat(1900)), 0.0, "");
    check("math: '3/4'", &format!("\\boxed{{{}x}}", "\\sin ".repeat(390)), 0.0, "nested too deep");
    check("math: '3/4'", &format!("\\boxed{{{}2}}", "2^".repeat(900)), 0.0, "nested too deep");
    check("math: '3/4'", &format!("\\boxed{{{}}}", "1+".repeat(5000)), 0.0, "is no expression");
    check("math: { value: '1/2', simplified: true }", "\\boxed{2/4}", 0.0, "can be simplified");
}

#[rstest]
#[case("math: ''", &["cannot be read as mathematics: nothing"])]
#[case("math: '\\foo'", &["`\\foo` is unknown"])]
#[case("math: '1/0'", &["`1/0` has no value"])]
#[case("math: { value: 2/4, simplified: true }", &["the value itself is not in its simplest form @ 2/4"])]
#[case("math: { value: '5', unit: true }", &["the value has no unit"])]
#[case("math: { value: 'x', variables: { x: reel } }", &["unknown word `reel`: did you mean `real`?"])]
#[case("math: { value: 'x', variables: { 'x y': real } }", &["`x y` is no name of a variable"])]
#[case("math: { valu: x }", &["unknown key `valu`: did you mean `value`?"])]
fn mistakes(#[case] written: &str, #[case] wanted: &[&str]) {
    crate::mistakes::check(written, wanted);
}

/// Sums, products, powers and roots of small numbers and x.
fn expressions() -> impl Strategy<Value = String> {
    let leaf =
        prop_oneof![(1..20_i32).prop_map(|it| it.to_string()), Just("x".to_owned()), Just("\\pi".to_owned())];
    leaf.prop_recursive(4, 24, 3, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} + {b})")),
            (inner.clone(), 1..20_i32).prop_map(|(a, b)| format!("({a} - {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a}) \\cdot ({b})")),
            (inner.clone(), 1..9_i32).prop_map(|(a, b)| format!("\\frac{{{a}}}{{{b}}}")),
            (inner.clone(), 1..4_i32).prop_map(|(a, b)| format!("({a})^{{{b}}}")),
            inner.prop_map(|a| format!("\\sqrt{{({a})^2 + 1}}")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn equal_to_itself_in_another_form(a in expressions(), b in expressions(), c in 2..9_i32) {
        let value = format!("({a}) + ({b})");
        if value.len() < 400 {
            equal(&value, &format!("({b}) + ({a})"));
            equal(&value, &format!("\\frac{{{c} \\cdot ({a})}}{{{c}}} + ({b})"));
            equal(&value, &format!("({a}) - (0 - ({b}))"));
            different(&value, &format!("\\frac{{11}}{{10}} (({b}) + ({a})) + \\frac{{1}}{{7}}"));
        }
    }

    #[test]
    fn fractions_are_exact(top in -10_000_i64..10_000, bottom in 1_i64..10_000, times in 2_i64..100) {
        let value = format!("{top}/{bottom}");
        equal(&value, &format!("\\frac{{{}}}{{{}}}", top * times, bottom * times));
        different(&value, &format!("\\frac{{{}}}{{{}}}", top * times + 1, bottom * times));
    }

    #[test]
    fn any_text_has_a_score(text in "[0-9x+\\-*/^_(){}\\[\\]|!.,<>=$ \\\\a-d√π∞±≤∪²½]{0,60}") {
        for value in ["3/4", "x^2", "(1, 2)", "\\{1, 2\\}", "[1, 2)", "y = x"] {
            let found = score(value, &format!("\\boxed{{{text}}}"));
            prop_assert!((found * (1.0 - found)).abs() < 1e-12);
            score(value, &text);
        }
    }
}
