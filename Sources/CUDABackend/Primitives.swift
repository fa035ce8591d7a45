import CoreTensor

extension CUDABackend {
    /// The primitives that have kernels, by the names under which ``Profiler`` records them ("unary.exp", "softmax").
    public static let primitives: Set<String> = {
        var names: Set<String> = [
            "copy", "cast", "fill", "arange", "classify.isNaN", "classify.isInf", "classify.isFinite", "select", "clamp", "axpy",
            "argReduce",
            "meanAndM2", "cumsum", "sumOfSquares", "gatherRows", "scatterRows", "gather", "scatterAdd", "firstOutOfRange",
            "nonzero",
            "searchSorted", "setRows", "addRows", "softmax", "logSoftmax", "softmaxGrad", "logSoftmaxGrad", "crossEntropy",
            "crossEntropyGrad",
            "layerNorm",
            "layerNormGrad", "rmsNorm", "rmsNormGrad", "matmul", "randomUniform", "randomNormal", "randomIntegers", "dropout",
            "dropoutGrad", "roundStochastically",
            "sgd", "adam", "rmsProp", "compensatedSum", "narrowStep", "scan.prod", "scan.max", "scan.min", "scan.logSumExp",
            "sort", "topK", "sortRows",
            "quantizedLinear", "ctc", "ctcGrad", "recurrence", "recurrenceGrad", "fft", "luFactor", "luSolve", "luInverse",
            "cholesky",
            "choleskySolve", "choleskyInverse", "qr", "householderProduct", "svd", "eigh", "eig", "triangularSolve",
            "leastSquares", "binary.zeta",
            "attention", "attentionGrad", "attentionKept", "convolution", "convolutionGradInput", "convolutionGradWeight",
            "convolutionGradients", "unfold", "fold", "maxPool", "scatterPlanes", "scatterPairs", "gatherPlanes", "mapAxis",
            "mapPlanes",
            "channelNorm", "channelNormApply", "channelNormGrad",
        ]
        for op in frequentUnary.union(rareUnary).union(specialUnary) { names.insert("unary.\(op)") }
        names.insert("unary.not")
        for op in [UnaryKernel.relu, .geluErf, .geluTanh, .silu] { names.insert("activatedLinear.\(op)") }
        for op in frequentBinary.union(rareBinary) { names.insert("binary.\(op)") }
        for op in [BinaryKernel.and, .or, .xor, .gcd, .lcm, .leftShift, .rightShift] { names.insert("binary.\(op)") }
        for number in 0..<8 { names.insert("sweep.\(SweepKernel(rawValue: Int32(number))!)") }
        for op in [UnaryKernel.relu, .geluErf, .geluTanh, .silu] { names.insert("activatedLinear.\(op)") }
        for number in 0..<8 { names.insert("unaryGrad.\(UnaryGradKernel(rawValue: Int32(number))!)") }
        for number in 0..<6 {
            names.insert("compare.\(CompareKernel(rawValue: Int32(number))!)")
            names.insert("reduce.\(ReduceKernel(rawValue: Int32(number))!)")
        }
        for number in 0..<4 { names.insert("scatterReduce.\(ScatterKernel(rawValue: Int32(number))!)") }
        return names
    }()
}
