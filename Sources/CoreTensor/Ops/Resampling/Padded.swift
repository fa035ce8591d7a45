/// What lies beyond the ends of an axis.
public enum PaddingMode: Sendable, Hashable {
    /// A number, 0 unless told otherwise.
    case constant(Double)
    /// The axis mirrored at its last element, which is not repeated.
    case reflect
    /// The last element again and again.
    case replicate
    /// The other end of the axis.
    case circular

    /// Zeros.
    public static let zeros = PaddingMode.constant(0)
}

extension Tensor {
    /// The tensor extended along its last axes, PyTorch's `pad`: `padding` holds pairs of places to add before and after, for the last
    /// axis first. Negative amounts cut places off.
    ///
    /// Traps if more axes are named than there are, if an amount cuts off more than there is, or if `reflect` asks for as many places
    /// as the axis has, `circular` for more.
    public func padded(_ padding: [Int], mode: PaddingMode = .zeros) -> Tensor {
        if padding.count % 2 != 0 || padding.count / 2 > rank {
            fail("padded", "\(padding) must hold a pair for each of at most \(rank) axes of \(shape)")
        }
        let amounts = (0..<padding.count / 2).map { (axis: rank - 1 - $0, before: padding[2 * $0], after: padding[2 * $0 + 1]) }
        for (axis, before, after) in amounts where shape[axis] + before + after < 0 {
            fail("padded", "\(before) and \(after) places at axis \(axis) of \(shape) leave a negative size")
        }
        if case .constant(let value) = mode { return paddedConstant(amounts, value) }
        // A circle is closed after cutting; the other modes look at what is cut off at one end for the other.
        let cut = mode == .circular ? paddedConstant(amounts.map { ($0, Swift.min($1, 0), Swift.min($2, 0)) }, 0) : self
        return amounts.reduce(cut) { x, amount in
            let (axis, before, after) = amount
            let wide = x.extended(axis, before: Swift.max(before, 0), after: Swift.max(after, 0), mode)
            if mode == .circular || (before >= 0 && after >= 0) { return wide }
            return wide.narrowed(axis: axis, start: Swift.max(-before, 0), length: x.shape[axis] + before + after)
        }
    }

    private func paddedConstant(_ amounts: [(axis: Int, before: Int, after: Int)], _ value: Double) -> Tensor {
        if amounts.allSatisfy({ $0.before == 0 && $0.after == 0 }) { return self }
        var outer = shape
        var place = [TensorIndex](repeating: .all, count: rank)
        var kept = self
        for (axis, before, after) in amounts {
            outer[axis] += before + after
            let start = Swift.min(Swift.max(-before, 0), shape[axis])
            let end = Swift.max(Swift.min(shape[axis], shape[axis] + after), start)
            if start > 0 || end < shape[axis] { kept = kept.narrowed(axis: axis, start: start, length: end - start) }
            let low = Swift.max(before, 0)
            place[axis] = .slice(from: low, to: low + kept.shape[axis], step: 1)
        }
        if kept.shape == outer { return kept }
        let filled =
            dtype.isDifferentiable
            ? Tensor(repeating: value, shape: outer, dtype: dtype, device: device)
            : Tensor(repeating: dtype == .bool ? (value == 0 ? 0 : 1) : Int(value), shape: outer, dtype: dtype, device: device)
        return filled.replacing(place, with: kept)
    }

    /// One axis, by joining parts of it.
    private func extended(_ axis: Int, before: Int, after: Int, _ mode: PaddingMode) -> Tensor {
        let size = shape[axis]
        func part(_ start: Int, _ length: Int) -> Tensor { narrowed(axis: axis, start: start, length: length) }
        func edge(_ place: Int, _ length: Int) -> Tensor {
            var wide = shape
            wide[axis] = length
            return part(place, 1).expanded(to: wide)
        }
        func require(_ fits: Bool) {
            if !fits { fail("padded", "padding \(before) and \(after) of axis \(axis) of \(shape) is too much for mode \(mode)") }
        }
        var parts: [Tensor] = []
        switch mode {
        case .reflect:
            require(before < Swift.max(size, 1) && after < Swift.max(size, 1))
            if before > 0 { parts.append(part(1, before).flipped(Axes([axis]))) }
            parts.append(self)
            if after > 0 { parts.append(part(size - 1 - after, after).flipped(Axes([axis]))) }
        case .replicate:
            require(size > 0 || before + after == 0)
            if before > 0 { parts.append(edge(0, before)) }
            parts.append(self)
            if after > 0 { parts.append(edge(size - 1, after)) }
        case .circular:
            require(before <= size && after <= size)
            if before > 0 { parts.append(part(size - before, before)) }
            parts.append(self)
            if after > 0 { parts.append(part(0, after)) }
        case .constant: preconditionFailure("constant padding is one copy")
        }
        return parts.count == 1 ? self : concatenate(parts, axis: axis)
    }
}
