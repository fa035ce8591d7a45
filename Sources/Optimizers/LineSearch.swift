import CoreTensor

/// A point tried along a direction.
struct WolfePoint {
    var length: Double
    var loss: Double
    var gradient: Tensor
    /// The gradient along the direction.
    var slope: Double
}

/// A length that satisfies the strong Wolfe conditions, f(t) ≤ f + c₁ t f' and |f'(t)| ≤ c₂ |f'|, or the best found in the
/// evaluations allowed (PyTorch's rules, after minFunc's). `largest` is the direction's largest element.
func strongWolfe(
    slope: Double, loss: Double, gradient: Tensor, length: Double, largest: Double, evaluations: Int, c1: Double = 1e-4,
    c2: Double = 0.9, tolerance: Double = 1e-9, _ evaluate: (Double) throws -> WolfePoint
) rethrows -> (point: WolfePoint, calls: Int) {
    let start = WolfePoint(length: 0, loss: loss, gradient: gradient, slope: slope)
    var previous = start
    var new = try evaluate(length)
    var calls = 1
    var rounds = 0
    var bracket: [WolfePoint]?
    var isDone = false

    // Widen until a point satisfies the conditions or two enclose one.
    while rounds < evaluations {
        if new.loss > loss + c1 * new.length * slope || (rounds > 1 && new.loss >= previous.loss) {
            bracket = [previous, new]
            break
        }
        if Swift.abs(new.slope) <= -c2 * slope {
            bracket = [new]
            isDone = true
            break
        }
        if new.slope >= 0 {
            bracket = [previous, new]
            break
        }
        let low = new.length + 0.01 * (new.length - previous.length), high = new.length * 10
        let next = cubicMinimum(previous, new, low, high)
        previous = new
        new = try evaluate(next)
        calls += 1
        rounds += 1
    }
    var ends = bracket ?? [start, new]

    // Narrow.
    var isStuck = false
    var (low, high) = ends[0].loss <= ends[ends.count - 1].loss ? (0, 1) : (1, 0)
    while !isDone && rounds < evaluations {
        if Swift.abs(ends[1].length - ends[0].length) * largest < tolerance { break }
        let least = min(ends[0].length, ends[1].length), most = max(ends[0].length, ends[1].length)
        var next = cubicMinimum(ends[0], ends[1], least, most)
        // A trial too close to an end moves away from it the second time, or at once if it is at the end.
        let margin = 0.1 * (most - least)
        if min(most - next, next - least) < margin {
            if isStuck || next >= most || next <= least {
                next = Swift.abs(next - most) < Swift.abs(next - least) ? most - margin : least + margin
                isStuck = false
            } else {
                isStuck = true
            }
        } else {
            isStuck = false
        }
        new = try evaluate(next)
        calls += 1
        rounds += 1
        if new.loss > loss + c1 * next * slope || new.loss >= ends[low].loss {
            ends[high] = new
            (low, high) = ends[0].loss <= ends[1].loss ? (0, 1) : (1, 0)
        } else {
            if Swift.abs(new.slope) <= -c2 * slope {
                isDone = true
            } else if new.slope * (ends[high].length - ends[low].length) >= 0 {
                ends[high] = ends[low]
            }
            ends[low] = new
        }
    }
    return (ends[ends.count == 1 ? 0 : low], calls)
}

/// Where the cubic through two points with their slopes is least, within bounds; their middle if it has no minimum.
private func cubicMinimum(_ a: WolfePoint, _ b: WolfePoint, _ low: Double, _ high: Double) -> Double {
    let (left, right) = a.length <= b.length ? (a, b) : (b, a)
    let d1 = left.slope + right.slope - 3 * (left.loss - right.loss) / (left.length - right.length)
    let square = d1 * d1 - left.slope * right.slope
    if !(square >= 0) { return (low + high) / 2 }
    let d2 = square.squareRoot()
    let place = right.length - (right.length - left.length) * ((right.slope + d2 - d1) / (right.slope - left.slope + 2 * d2))
    return min(max(place, low), high)
}
