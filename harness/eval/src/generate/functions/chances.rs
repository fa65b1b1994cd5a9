//! Probability and statistics: exact.

use num_bigint::BigInt;
use num_rational::BigRational;
use num_traits::{One as _, Signed as _, Zero as _};

use super::numbers::binomial;
use super::{Call, Function};
use crate::generate::Wrong;
use crate::generate::value::{Value, compared};

pub(super) const FUNCTIONS: &[Function] = &[
    Function {
        form: "binomial_chance(n, k, p)",
        what: "the probability of exactly k successes in n independent tries with probability p each",
        run: |call| {
            let (n, k) = (call.count(0, 200)?, call.count(1, 200)?);
            let p = probability(call, 2)?;
            if k > n {
                return Ok(Value::whole(0));
            }
            let mut chance = BigRational::from_integer(binomial(n, k));
            call.pay(n as u64)?;
            let other = BigRational::one() - &p;
            for it in std::iter::repeat_n(&p, k).chain(std::iter::repeat_n(&other, n - k)) {
                chance = call.product(&chance, it)?;
            }
            Ok(Value::Number(chance))
        },
    },
    Function {
        form: "hypergeometric(all, good, drawn, k)",
        what: "the probability of exactly k good ones among `drawn` that are taken, without putting back, from `all` of which `good` are good",
        run: |call| {
            let all = call.count(0, 1_000)?;
            let (good, drawn, k) = (call.count(1, all)?, call.count(2, all)?, call.count(3, 1_000)?);
            if k > drawn || drawn - k > all - good {
                return Ok(Value::whole(0));
            }
            call.pay(drawn as u64 * 16)?;
            let ways = binomial(good, k) * binomial(all - good, drawn - k);
            call.new_number(BigRational::new(ways, binomial(all, drawn)))
        },
    },
    Function {
        form: "bayes(prior, hit, false_alarm)",
        what: "the probability of the cause given the sign: of P(cause), P(sign | cause) and P(sign | no cause)",
        run: |call| {
            let (prior, hit, alarm) = (probability(call, 0)?, probability(call, 1)?, probability(call, 2)?);
            let both = call.product(&prior, &hit)?;
            let other = call.product(&(BigRational::one() - &prior), &alarm)?;
            let sign = call.sum(&both, &other)?;
            if sign.is_zero() {
                return Err(call.fails("the sign never shows: nothing follows from it"));
            }
            call.quotient(&both, &sign).map(Value::Number)
        },
    },
    Function {
        form: "expectation(pairs)",
        what: "the sum of value * probability over pairs [value, probability], whose probabilities add up to 1",
        run: |call| {
            let (mut sum, mut total) = (BigRational::zero(), BigRational::zero());
            for it in call.tuples(0, 2, "pairs [value, probability]")? {
                let [value, chance] = &call.numbers_of(0, &Value::list(it))?[..] else { continue };
                if chance.is_negative() {
                    return Err(call.wrong(0, "a probability is not below 0"));
                }
                let share = call.product(value, chance)?;
                sum = call.sum(&sum, &share)?;
                total = call.sum(&total, chance)?;
            }
            if !total.is_one() {
                return Err(call.wrong(0, format!("the probabilities add up to {total}, not to 1")));
            }
            Ok(Value::Number(sum))
        },
    },
    Function {
        form: "mean(list)",
        what: "the sum of the numbers divided by how many there are",
        run: |call| {
            let numbers = some(call)?;
            mean(call, &numbers).map(Value::Number)
        },
    },
    Function {
        form: "median(list)",
        what: "the number in the middle of the sorted list; of an even one, the mean of the two in the middle",
        run: |call| {
            let mut numbers = some(call)?;
            numbers.sort_by(compared);
            let middle = numbers.len() / 2;
            if numbers.len() % 2 == 1 {
                return Ok(Value::Number(numbers.swap_remove(middle)));
            }
            mean(call, &numbers[middle - 1..=middle]).map(Value::Number)
        },
    },
    Function {
        form: "variance(list)",
        what: "the mean of the squared differences from the mean: of a population, divided by n",
        run: |call| {
            let numbers = some(call)?;
            let squares = squares(call, &numbers)?;
            call.quotient(&squares, &whole(numbers.len())).map(Value::Number)
        },
    },
    Function {
        form: "sample_variance(list)",
        what: "the sum of the squared differences from the mean, divided by n - 1",
        run: |call| {
            let numbers = some(call)?;
            if numbers.len() < 2 {
                return Err(call.wrong(0, "a sample's variance needs two numbers"));
            }
            let squares = squares(call, &numbers)?;
            call.quotient(&squares, &whole(numbers.len() - 1)).map(Value::Number)
        },
    },
];

fn probability(call: &Call<'_, '_>, at: usize) -> Result<BigRational, Wrong> {
    let p = call.number(at)?;
    if p.is_negative() || p > BigRational::one() {
        return Err(call.wrong(at, "a probability lies between 0 and 1"));
    }
    Ok(p)
}

fn some(call: &Call<'_, '_>) -> Result<Vec<BigRational>, Wrong> {
    let numbers = call.numbers(0)?;
    if numbers.is_empty() { Err(call.wrong(0, "expected at least one number")) } else { Ok(numbers) }
}

fn whole(number: usize) -> BigRational {
    BigRational::from_integer(BigInt::from(number))
}

fn mean(call: &mut Call<'_, '_>, numbers: &[BigRational]) -> Result<BigRational, Wrong> {
    let total = call.total(numbers)?;
    call.quotient(&total, &whole(numbers.len()))
}

fn squares(call: &mut Call<'_, '_>, numbers: &[BigRational]) -> Result<BigRational, Wrong> {
    let mean = mean(call, numbers)?;
    let mut sum = BigRational::zero();
    for it in numbers {
        let distance = call.difference(it, &mean)?;
        let square = call.product(&distance, &distance)?;
        sum = call.sum(&sum, &square)?;
    }
    Ok(sum)
}
