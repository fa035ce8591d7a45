import Foundation

// Sums of products over chosen axes.

/// a[i] b[j]: `[n]` and `[m]` give `[n, m]`.
public func outer(_ a: Tensor, _ b: Tensor) -> Tensor {
    if a.rank != 1 || b.rank != 1 { fail("outer", "needs vectors, not \(a.shape) and \(b.shape)") }
    return a.unsqueezed(1) * b
}

/// Σ a[i] b[i] of two vectors.
public func dot(_ a: Tensor, _ b: Tensor) -> Tensor {
    if a.rank != 1 || b.rank != 1 || a.count != b.count {
        fail("dot", "needs vectors of one length, not \(a.shape) and \(b.shape)")
    }
    if a.dtype != b.dtype { fail("dot", "needs one type, not \(a.dtype) and \(b.dtype)") }
    return matmul(a, b)
}

/// Σ conj(a[i]) b[i] of two vectors.
public func vdot(_ a: Tensor, _ b: Tensor) -> Tensor { dot(conj(a), b) }

/// Sums of products over the last axis of both: `[..., k]` and `[...', k]` give `[..., ...']`.
public func inner(_ a: Tensor, _ b: Tensor) -> Tensor {
    if a.rank == 0 || b.rank == 0 { return a * b }
    if a.shape.last! != b.shape.last! { fail("inner", "last axes of \(a.shape) and \(b.shape) differ") }
    return tensordot(a, b, axes: ([-1], [-1]))
}

/// Sums of products over the given axes of `a` and `b`, pair by pair; what remains of `a` comes first.
public func tensordot(_ a: Tensor, _ b: Tensor, axes: ([Int], [Int])) -> Tensor {
    let left = axes.0.map { resolveAxis("tensordot", $0, rank: a.rank) },
        right = axes.1.map { resolveAxis("tensordot", $0, rank: b.rank) }
    if left.count != right.count { fail("tensordot", "\(left.count) axes of the first for \(right.count) of the second") }
    var a = a, b = b
    for (l, r) in zip(left, right) where a.shape[l] != b.shape[r] {
        // An axis of size 1 stands for a sum.
        if a.shape[l] == 1 {
            b = b.sum(Axes([r]), keepDims: true)
        } else if b.shape[r] == 1 {
            a = a.sum(Axes([l]), keepDims: true)
        } else {
            fail("tensordot", "axis \(l) of \(a.shape) and axis \(r) of \(b.shape) differ")
        }
    }
    let freeA = (0..<a.rank).filter { !left.contains($0) }, freeB = (0..<b.rank).filter { !right.contains($0) }
    let k = left.reduce(1) { $0 * a.shape[$1] }
    let shapeA = freeA.map { a.shape[$0] }, shapeB = freeB.map { b.shape[$0] }
    let x = a.permuted(freeA + left).reshaped([shapeA.reduce(1, *), k])
    let y = b.permuted(right + freeB).reshaped([k, shapeB.reduce(1, *)])
    return matmul(x, y).reshaped(shapeA + shapeB)
}

/// Sums over the last `axes` axes of `a` and the first ones of `b`.
public func tensordot(_ a: Tensor, _ b: Tensor, axes: Int = 2) -> Tensor {
    if axes < 0 || axes > a.rank || axes > b.rank { fail("tensordot", "\(axes) axes of \(a.shape) and \(b.shape)") }
    return tensordot(a, b, axes: (Array((a.rank - axes)..<a.rank), Array(0..<axes)))
}

/// Kronecker product: every element of `a` times the whole of `b`; missing axes come in front.
public func kron(_ a: Tensor, _ b: Tensor) -> Tensor {
    let rank = Swift.max(a.rank, b.rank)
    let sa = [Int](repeating: 1, count: rank - a.rank) + a.shape, sb = [Int](repeating: 1, count: rank - b.rank) + b.shape
    let product = a.reshaped(sa.flatMap { [$0, 1] }) * b.reshaped(sb.flatMap { [1, $0] })
    return product.reshaped(zip(sa, sb).map(*))
}

/// Einstein's summation: `einsum("bij,bjk->bik", a, b)`. Letters name axes; repeated ones are multiplied and, where they are missing
/// on the right, summed; `...` stands for broadcast axes. Without an arrow the right side is the letters that occur once, in
/// alphabetical order. Evaluated pair by pair from the left as matrix products.
public func einsum(_ equation: String, _ operands: Tensor...) -> Tensor { einsum(equation, operands) }

/// ``einsum(_:_:)-(String,Tensor...)`` with the operands in an array.
public func einsum(_ equation: String, _ operands: [Tensor]) -> Tensor {
    let plan = EinsumEquation(equation, operands)
    return plan.evaluate(operands)
}

/// An equation worked out: labels are numbers, the broadcast axes of `...` among them.
private struct EinsumEquation {
    let inputs: [[Int]]
    let output: [Int]
    let text: String

    init(_ equation: String, _ operands: [Tensor]) {
        text = equation
        func wrong(_ problem: String) -> Never { fail("einsum", "\"\(equation)\": \(problem)") }
        let plain = equation.filter { $0 != " " }
        let sides = plain.components(separatedBy: "->")
        if sides.count > 2 { wrong("more than one arrow") }
        let terms = sides[0].split(separator: ",", omittingEmptySubsequences: false).map(String.init)
        if terms.count != operands.count { wrong("\(terms.count) terms for \(operands.count) operands") }
        // Letters are themselves; the axes of `...` are -1 for the last, -2 before it …
        func labels(_ term: String, rank: Int?) -> (list: [Int], hasEllipsis: Bool) {
            let parts = term.components(separatedBy: "...")
            if parts.count > 2 || parts.contains(where: { $0.contains(".") }) { wrong("dots that are no ellipsis") }
            let letters = parts.map { part in
                part.unicodeScalars.map { s -> Int in
                    if !s.properties.isAlphabetic || !s.isASCII { wrong("\"\(s)\" is no letter") }
                    return Int(s.value)
                }
            }
            if parts.count == 1 {
                if let rank, letters[0].count != rank { wrong("\"\(term)\" for an operand of rank \(rank)") }
                return (letters[0], false)
            }
            let free = (rank ?? 0) - letters[0].count - letters[1].count
            if rank != nil && free < 0 { wrong("\"\(term)\" for an operand of rank \(rank!)") }
            return (letters[0] + (0..<Swift.max(free, 0)).map { $0 - free } + letters[1], true)
        }
        inputs = zip(terms, operands).map { labels($0, rank: $1.rank).list }
        let widest = inputs.map { $0.filter { $0 < 0 }.count }.max() ?? 0
        let dots = (0..<widest).map { $0 - widest }
        if sides.count == 2 {
            let (list, hasEllipsis) = labels(sides[1], rank: nil)
            let position = sides[1].components(separatedBy: "...")[0].count
            var result = list
            if hasEllipsis { result.insert(contentsOf: dots, at: position) }
            if Set(result).count != result.count { wrong("a letter occurs twice on the right") }
            for label in result where !inputs.contains(where: { $0.contains(label) }) {
                wrong("a letter on the right is not on the left")
            }
            output = result
        } else {
            let all = inputs.flatMap { $0 }
            output = dots + Set(all).filter { label in label > 0 && all.filter { $0 == label }.count == 1 }.sorted()
        }
    }

    func evaluate(_ operands: [Tensor]) -> Tensor {
        var sizes: [Int: Int] = [:]
        for (labels, x) in zip(inputs, operands) {
            for (label, size) in zip(labels, x.shape) {
                if let known = sizes[label], known != 1, size != 1, known != size {
                    fail("einsum", "\"\(text)\": one letter has sizes \(known) and \(size); operands \(operands.map(\.shape))")
                }
                sizes[label] = sizes[label].map { Swift.max($0, size) == 1 ? size : ($0 == 1 ? size : $0) } ?? size
            }
        }
        var left = prepared(operands[0], inputs[0], others: Array(inputs.dropFirst()))
        for k in operands.indices.dropFirst() {
            let later = Set(inputs[(k + 1)...].flatMap { $0 } + output)
            let right = prepared(operands[k], inputs[k], others: [left.labels] + inputs[(k + 1)...])
            left = multiplied(left, right, keep: later, sizes)
        }
        var (x, labels) = left
        let order = output.map { label in labels.firstIndex(of: label)! }
        x = x.permuted(order)
        labels = output
        return x.expanded(to: labels.map { sizes[$0]! })
    }

    /// Diagonals of letters that occur twice, and sums over those that nobody else needs.
    private func prepared(_ x: Tensor, _ labels: [Int], others: [[Int]]) -> (x: Tensor, labels: [Int]) {
        var x = x, labels = labels
        while let label = labels.first(where: { l in labels.filter { $0 == l }.count > 1 }) {
            let a = labels.firstIndex(of: label)!, b = labels.lastIndex(of: label)!
            x = x.diagonal(axis1: a, axis2: b)
            labels.remove(at: b)
            labels.remove(at: a)
            labels.append(label)
        }
        let needed = Set(others.flatMap { $0 } + output)
        let lonely = labels.indices.filter { !needed.contains(labels[$0]) }
        if !lonely.isEmpty {
            x = x.sum(Axes(lonely))
            labels = labels.enumerated().filter { !lonely.contains($0.offset) }.map(\.element)
        }
        return (x, labels)
    }

    private func multiplied(
        _ left: (x: Tensor, labels: [Int]), _ right: (x: Tensor, labels: [Int]), keep: Set<Int>, _ sizes: [Int: Int]
    )
        -> (x: Tensor, labels: [Int])
    {
        var a = left.x, b = right.x
        let la = left.labels, lb = right.labels
        let shared = la.filter { lb.contains($0) }
        let batch = shared.filter { keep.contains($0) }, summed = shared.filter { !keep.contains($0) }
        for label in summed {  // an axis of size 1 stands for a sum
            let i = la.firstIndex(of: label)!, j = lb.firstIndex(of: label)!
            if a.shape[i] == b.shape[j] { continue }
            if a.shape[i] == 1 { b = b.sum(Axes([j]), keepDims: true) } else { a = a.sum(Axes([i]), keepDims: true) }
        }
        let freeA = la.filter { !shared.contains($0) }, freeB = lb.filter { !shared.contains($0) }
        func axes(_ list: [Int], _ of: [Int]) -> [Int] { list.map { l in of.firstIndex(of: l)! } }
        a = a.permuted(axes(batch + freeA + summed, la))
        b = b.permuted(axes(batch + summed + freeB, lb))
        func product(_ shape: Shape, _ range: Range<Int>) -> Int { shape[range].reduce(1, *) }
        let n = batch.count
        let shapeA = Array(a.shape[n..<(n + freeA.count)]), shapeB = Array(b.shape[(n + summed.count)...])
        let k = product(a.shape, (n + freeA.count)..<a.rank)
        let x = a.reshaped(Array(a.shape[..<n]) + [shapeA.reduce(1, *), k])
        let y = b.reshaped(Array(b.shape[..<n]) + [k, shapeB.reduce(1, *)])
        let z = matmul(x, y)
        return (z.reshaped(Array(z.shape[..<n]) + shapeA + shapeB), batch + freeA + freeB)
    }
}
