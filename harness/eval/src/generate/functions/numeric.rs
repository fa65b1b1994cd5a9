//! Polynomials, given by their coefficients, and methods that approach a solution: each step exact.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{Signed as _, Zero as _};

use super::matrices;
use super::{Call, Function};
use crate::generate::Wrong;
use crate::generate::value::{Value, compared};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        form: "poly(coefficients, x)",
        what: "the polynomial's value; coefficients are given from the highest power to the constant",
        run: |call| {
            let (coefficients, x) = (call.numbers(0)?, call.number(1)?);
            horner(call, &coefficients, &x).map(Value::Number)
        },
    },
    Function {
        form: "derivative(coefficients)",
        what: "the coefficients of the polynomial's derivative",
        run: |call| {
            let derivative = derived(&call.numbers(0)?);
            call.new_list(derivative.into_iter().map(Value::Number).collect())
        },
    },
    Function {
        form: "roots(coefficients)",
        what: "the rational roots, the least first, each as often as it is one",
        run: |call| {
            let coefficients = call.numbers(0)?;
            if coefficients.first().is_none_or(num_traits::Zero::is_zero) || coefficients.len() > 12 {
                return Err(call.wrong(0, "expected at most 12 coefficients, the first of them not 0"));
            }
            let roots = matrices::roots(call, coefficients)?;
            call.new_list(roots.into_iter().map(Value::Number).collect())
        },
    },
    Function {
        form: "newton(coefficients, start, steps)",
        what: "the start and what follows it: x - p(x) / p'(x) each time",
        run: |call| {
            let coefficients = call.numbers(0)?;
            let slope = derived(&coefficients);
            let mut x = call.number(1)?;
            let mut all = vec![Value::Number(x.clone())];
            for _ in 0..call.count(2, 20)? {
                let below = horner(call, &slope, &x)?;
                if below.is_zero() {
                    return Err(call.fails(format!("the slope at {x} is 0: there is no next step")));
                }
                let above = horner(call, &coefficients, &x)?;
                let step = call.quotient(&above, &below)?;
                x = call.difference(&x, &step)?;
                all.push(Value::Number(x.clone()));
            }
            call.new_list(all)
        },
    },
    Function {
        form: "bisection(coefficients, low, high, steps)",
        what: "the interval [low, high] and what is left of it after each halving: the half whose ends the polynomial has with \
               different signs; where it is 0 in the middle, [middle, middle]",
        run: |call| {
            let coefficients = call.numbers(0)?;
            let (mut low, mut high) = (call.number(1)?, call.number(2)?);
            let sign = |call: &mut Call<'_, '_>, x: &BigRational| {
                horner(call, &coefficients, x).map(|it| it.signum())
            };
            let (mut below, above) = (sign(call, &low)?, sign(call, &high)?);
            if compared(&low, &high).is_ge() || (&below * &above).is_positive() || below.is_zero() {
                return Err(call.fails(
                    "the polynomial has one sign at both ends, or is 0 at the lower: no root is enclosed",
                ));
            }
            let interval = |low: &BigRational, high: &BigRational| {
                Value::list(vec![Value::Number(low.clone()), Value::Number(high.clone())])
            };
            let mut all = vec![interval(&low, &high)];
            for _ in 0..call.count(3, 60)? {
                call.pay(coefficients.len() as u64)?;
                let both = call.sum(&low, &high)?;
                let middle = call.quotient(&both, &BigRational::from_integer(BigInt::from(2)))?;
                let there = sign(call, &middle)?;
                if there.is_zero() {
                    (low, high, below) = (middle.clone(), middle, there);
                } else if there == below {
                    low = middle;
                } else {
                    high = middle;
                }
                all.push(interval(&low, &high));
            }
            call.new_list(all)
        },
    },
    Function {
        form: "trapezoid(x => …, low, high, n)",
        what: "the trapezoidal rule: n strips of equal width, each with the mean of the values at its ends",
        run: |call| {
            let (low, high, n) = (call.number(1)?, call.number(2)?, call.count(3, 1_000)?);
            if n == 0 {
                return Err(call.wrong(3, "at least one strip"));
            }
            let distance = call.difference(&high, &low)?;
            let width = call.quotient(&distance, &BigRational::from_integer(BigInt::from(n)))?;
            let mut sum = BigRational::zero();
            for at in 0..=n {
                let along = call.product(&width, &BigRational::from_integer(BigInt::from(at)))?;
                let x = call.sum(&low, &along)?;
                let Value::Number(value) = call.apply(0, &[Value::Number(x)])? else {
                    return Err(call.wrong(0, "expected a number"));
                };
                let twice = if at == 0 || at == n { 1 } else { 2 };
                let value = call.product(&value, &BigRational::from_integer(BigInt::from(twice)))?;
                sum = call.sum(&sum, &value)?;
            }
            let twice = call.product(&sum, &width)?;
            call.quotient(&twice, &BigRational::from_integer(BigInt::from(2))).map(Value::Number)
        },
    },
    Function {
        form: "euler((t, y) => …, t, y, step, n)",
        what: "y and what follows it in n steps of Euler's method: y + step * slope(t, y), then t + step",
        run: |call| {
            let (mut t, mut y, step) = (call.number(1)?, call.number(2)?, call.number(3)?);
            let mut all = vec![Value::Number(y.clone())];
            for _ in 0..call.count(4, 1_000)? {
                let arguments = [Value::Number(t.clone()), Value::Number(y.clone())];
                let Value::Number(slope) = call.apply(0, &arguments)? else {
                    return Err(call.wrong(0, "expected a number"));
                };
                let rise = call.product(&step, &slope)?;
                y = call.sum(&y, &rise)?;
                t = call.sum(&t, &step)?;
                all.push(Value::Number(y.clone()));
            }
            call.new_list(all)
        },
    },
    Function {
        form: "interpolate(points, x)",
        what: "the value at x of the polynomial of the lowest degree through points [x, y]",
        run: |call| {
            let x = call.number(1)?;
            let mut points = Vec::new();
            for it in call.tuples(0, 2, "points [x, y]")? {
                points.push(call.numbers_of(0, &Value::list(it))?);
            }
            call.pay((points.len() * points.len()) as u64 * 4)?;
            let mut value = BigRational::zero();
            for (at, own) in points.iter().enumerate() {
                let mut term = own[1].clone();
                for (_, other) in points.iter().enumerate().filter(|(other, _)| *other != at) {
                    let distance = call.difference(&own[0], &other[0])?;
                    if distance.is_zero() {
                        return Err(call.wrong(0, format!("two points at {}", own[0])));
                    }
                    let from = call.difference(&x, &other[0])?;
                    let share = call.quotient(&from, &distance)?;
                    term = call.product(&term, &share)?;
                }
                value = call.sum(&value, &term)?;
            }
            Ok(Value::Number(value))
        },
    },
];

fn horner(
    call: &mut Call<'_, '_>,
    coefficients: &[BigRational],
    x: &BigRational,
) -> Result<BigRational, Wrong> {
    let mut value = BigRational::zero();
    for it in coefficients {
        let raised = call.product(&value, x)?;
        value = call.sum(&raised, it)?;
    }
    Ok(value)
}

fn derived(coefficients: &[BigRational]) -> Vec<BigRational> {
    let degree = coefficients.len().saturating_sub(1);
    let with_power = coefficients.iter().zip((1..=degree).rev());
    with_power.map(|(it, power)| it * BigRational::from_integer(BigInt::from(power))).collect()
}
