import CCUDA
import CoreTensor

// MARK: Functions of one and two arguments, comparisons, choices

extension CUDABackend {
    /// The functions that have a kernel with vectors; the rare ones have one of their own, the special ones another, in double.
    static let frequentUnary: Set<UnaryKernel> = [
        .neg, .abs, .sign, .square, .sqrt, .rsqrt, .reciprocal, .exp, .log, .tanh, .sigmoid, .softplus, .logSigmoid, .relu,
        .geluErf, .geluTanh,
        .silu, .floor, .ceil, .round, .trunc,
    ]
    static let rareUnary: Set<UnaryKernel> = [
        .expm1, .log1p, .log2, .log10, .exp2, .sin, .cos, .tan, .asin, .acos, .atan, .sinh, .cosh, .erf, .erfc, .asinh, .acosh,
        .atanh,
        .lgamma, .sinc,
    ]
    static let specialUnary: Set<UnaryKernel> = [.digamma, .erfinv, .erfcx, .i0, .i0e, .i1, .i1e, .ndtri, .logNdtr]
    static let frequentBinary: Set<BinaryKernel> = [.add, .sub, .mul, .div, .max, .min]
    static let rareBinary: Set<BinaryKernel> = [
        .pow, .remainder, .floorDivide, .atan2, .hypot, .fmod, .fmax, .fmin, .copySign, .nextAfter, .logAddExp, .logAddExp2,
        .xlogy, .xlog1py,
        .heaviside,
    ]

    /// Floats, integers (where the CPU has them), bools and complex numbers.
    public func unary(_ op: UnaryKernel, _ x: RawTensor, _ out: RawTensor) {
        let number = Int(op.rawValue)
        if x.dtype.isStorageOnly || (x.dtype.isComplex && !op.takesComplex) { missing("\(op)", x.dtype) }
        if x.dtype.isComplex {
            return run(
                KernelName("tk_unary_complex"), pieces: x.count, address(x, "unary"), address(out, "unary"), x.count, number,
                x.dtype == .complex128 ? 1 : 0)
        }
        if !x.dtype.isFloatingPoint || Self.frequentUnary.contains(op) {
            let pieces = x.dtype.isFloatingPoint ? (x.count + 3) / 4 : x.count
            return run(
                KernelName("tk_unary", x.dtype.suffix), pieces: pieces, address(x, "unary"), address(out, "unary"), x.count,
                number)
        }
        if x.dtype.isHalf { return throughFloat32([x], out) { unary(op, $0[0], $1) } }
        if Self.specialUnary.contains(op) {
            return run(
                KernelName("tk_unary_special"), pieces: x.count, address(x, "unary"), address(out, "unary"), x.count, number,
                x.dtype == .float64 ? 1 : 0)
        }
        if !Self.rareUnary.contains(op) { missing("\(op)", x.dtype) }
        run(
            KernelName("tk_unary_rare", x.dtype.suffix), pieces: x.count, address(x, "unary"), address(out, "unary"), x.count,
            number)
    }

    /// One pass, with vectors.
    public func unaryGrad(_ op: UnaryGradKernel, saved: RawTensor, _ g: RawTensor, _ out: RawTensor) {
        run(
            KernelName("tk_unary_grad", saved.dtype.suffix), pieces: (saved.count + 3) / 4, address(saved, "unaryGrad"),
            address(g, "unaryGrad"),
            address(out, "unaryGrad"), saved.count, Int(op.rawValue))
    }

    /// Floats.
    public func classify(_ op: ClassifyKernel, _ x: RawTensor, _ out: RawTensor) {
        run(
            KernelName("tk_classify", x.dtype.suffix), pieces: x.count, address(x, "classify"), address(out, "classify"), x.count,
            Int(op.rawValue))
    }

    /// Dense operands and repeated elements with vectors, any other strides by an index computation per element.
    public func binary(_ op: BinaryKernel, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor) {
        let type = out.dtype
        if type.isStorageOnly || (type.isComplex && !op.takesComplex) { missing("\(op)", type) }
        let from = address(a, "binary"), other = address(b, "binary"), to = address(out, "binary")
        if type.isComplex {
            let walk = makeWalk("\(op)", out.shape, [a.layout.strides, b.layout.strides])
            return run(
                KernelName("tk_binary_complex"), pieces: out.count, from, other, to, walk, Int(op.rawValue),
                type == .complex128 ? 1 : 0)
        }
        if type.isFloatingPoint && Self.frequentBinary.contains(op) {
            func step(_ x: RawTensor) -> Int? { x.isContiguous ? 1 : x.layout.strides.allSatisfy { $0 == 0 } ? 0 : nil }
            if let first = step(a), let second = step(b) {
                return run(
                    KernelName("tk_binary_dense", type.suffix), pieces: (out.count + 3) / 4, from, other, to, out.count,
                    Int(op.rawValue), first,
                    second, 0.0)
            }
        } else if type.isFloatingPoint {
            if type.isHalf && op == .nextAfter { missing("\(op)", type) }
            if type.isHalf { return throughFloat32([a, b], out) { binary(op, $0[0], $0[1], $1) } }
            let walk = makeWalk("\(op)", out.shape, [a.layout.strides, b.layout.strides])
            if op == .zeta {
                return run(KernelName("tk_zeta"), pieces: out.count, from, other, to, walk, 0.0, type == .float64 ? 1 : 0)
            }
            if !Self.rareBinary.contains(op) { missing("\(op)", type) }
            return run(KernelName("tk_binary_rare", type.suffix), pieces: out.count, from, other, to, walk, Int(op.rawValue), 0.0)
        }
        let walk = makeWalk("\(op)", out.shape, [a.layout.strides, b.layout.strides])
        run(
            KernelName("tk_binary", type == .bool ? "u8" : type.suffix), pieces: out.count, from, other, to, walk,
            Int(op.rawValue))
    }

    /// The scalar is an argument of the kernel.
    public func binary(_ op: BinaryKernel, _ x: RawTensor, scalar value: Double, _ out: RawTensor) {
        let type = out.dtype
        if !type.isFloatingPoint { missing("\(op)", type) }
        let from = address(x, "binary"), to = address(out, "binary"), none = UInt64(0)
        if Self.frequentBinary.contains(op) {
            return run(
                KernelName("tk_binary_dense", type.suffix), pieces: (x.count + 3) / 4, from, none, to, x.count, Int(op.rawValue),
                1, 0, value)
        }
        if type.isHalf && op == .nextAfter { missing("\(op)", type) }
        if type.isHalf {
            // The scalar is rounded to the type first, as an element of it would be.
            let rounded = scratch([1], .float32), element = scratch([1], type)
            withUnsafeBytes(of: Float(value)) { fill(rounded, $0.baseAddress!) }
            cast(rounded, to: element)
            let repeated = RawTensor(
                storage: element.storage, layout: Layout(shape: x.shape, strides: x.shape.map { _ in 0 }), offset: 0, dtype: type)
            return binary(op, x, repeated, out)
        }
        let walk = makeWalk("\(op)", x.shape, [x.layout.strides, x.layout.strides])
        if op == .zeta {
            return run(KernelName("tk_zeta"), pieces: x.count, from, none, to, walk, value, type == .float64 ? 1 : 0)
        }
        if !Self.rareBinary.contains(op) { missing("\(op)", type) }
        run(KernelName("tk_binary_rare", type.suffix), pieces: x.count, from, none, to, walk, Int(op.rawValue), value)
    }

    /// Numbers and bools; complex numbers are equal or not.
    public func compare(_ op: CompareKernel, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor) {
        let walk = makeWalk("compare", out.shape, [a.layout.strides, b.layout.strides])
        if a.dtype.isComplex {
            if op != .equal && op != .notEqual { missing("compare.\(op)", a.dtype) }
            return run(
                KernelName("tk_compare_complex"), pieces: out.count, address(a, "compare"), address(b, "compare"),
                address(out, "compare"), walk, op == .notEqual ? 1 : 0, a.dtype == .complex128 ? 1 : 0)
        }
        run(
            KernelName("tk_compare", a.dtype == .bool ? "u8" : a.dtype.suffix), pieces: out.count, address(a, "compare"),
            address(b, "compare"), address(out, "compare"), walk, Int(op.rawValue))
    }

    /// Elements of any type, by their size.
    public func select(_ condition: RawTensor, _ a: RawTensor, _ b: RawTensor, _ out: RawTensor) {
        let walk = makeWalk("where", out.shape, [condition.layout.strides, a.layout.strides, b.layout.strides])
        run(
            KernelName("tk_select", out.dtype.sizeSuffix), pieces: out.count, address(condition, "where"), address(a, "where"),
            address(b, "where"), address(out, "where"), walk)
    }

    /// Bounds of integers are brought into the type's range first.
    public func clamp(_ x: RawTensor, _ out: RawTensor, low: Double, high: Double) {
        let kernel = KernelName("tk_clamp", x.dtype.suffix), from = address(x, "clamp"), to = address(out, "clamp")
        if x.dtype.isFloatingPoint { return run(kernel, pieces: x.count, from, to, x.count, low, high) }
        let range: (Int, Int)
        switch x.dtype {
        case .int8: range = (-128, 127)
        case .uint8: range = (0, 255)
        case .int32: range = (Int(Int32.min), Int(Int32.max))
        default: range = (Int.min, Int.max)
        }
        func bound(_ value: Double) -> Int {
            value.isNaN ? 0 : value <= Double(range.0) ? range.0 : value >= Double(range.1) ? range.1 : Int(value)
        }
        run(kernel, pieces: x.count, from, to, x.count, bound(low.rounded(.up)), bound(high.rounded(.down)))
    }

    /// Floats.
    public func axpy(_ alpha: Double, _ x: RawTensor, _ y: RawTensor) {
        run(KernelName("tk_axpy", x.dtype.suffix), pieces: x.count, address(x, "axpy"), address(y, "axpy"), x.count, alpha)
    }
}
