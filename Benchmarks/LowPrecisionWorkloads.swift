import Tapestry

/// The workloads of other modules in fewer bits.
extension Workloads {
    static let lowPrecision: [Workload] = products(.bfloat16, "bf16") + gpts(autocast: true)
}
