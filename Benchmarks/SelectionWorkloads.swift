import Tapestry

/// Sorting, scanning, scattering and special functions: what no peer's script times, in sizes like the others'.
extension Workloads {
    static let selection: [Workload] = [
        Workload("select", "sort_1M") {
            let x = normal(1 << 20)
            return Timed(shape: "(1048576,)", items: ("elements", 1_048_576)) { use(x.sorted().values) }
        },
        Workload("select", "sort_rows") {
            let x = normal(4096, 256)
            return Timed(shape: "(4096,256)", items: ("elements", 1_048_576)) { use(x.sorted().values) }
        },
        Workload("select", "topk50_vocab") {
            let x = normal(64, 50257)
            return Timed(shape: "(64,50257) k=50", bytes: 4 * 64 * 50257) { use(x.topK(50).values) }
        },
        Workload("select", "cumsum_last") {
            let x = normal(4096, 4096)
            return Timed(shape: "(4096,4096)", bytes: 8 * 4096 * 4096) { use(x.cumsum(axis: -1)) }
        },
        Workload("select", "cumsum_first") {
            let x = normal(4096, 4096)
            return Timed(shape: "(4096,4096)", bytes: 8 * 4096 * 4096) { use(x.cumsum(axis: 0)) }
        },
        Workload("select", "scatter_add_rows") {
            let x = Tensor(zeros: [8192, 1024]), index = Tensor(integers: 0..<8192, shape: [8192]), source = normal(8192, 1024)
            return Timed(shape: "(8192,1024)", bytes: 16 * 8192 * 1024) { use(x.indexAdded(axis: 0, index: index, source: source)) }
        },
        Workload("select", "index_select_rows") {
            let x = normal(8192, 1024), index = Tensor(integers: 0..<8192, shape: [8192])
            return Timed(shape: "(8192,1024)", bytes: 8 * 8192 * 1024) { use(x.indexSelect(axis: 0, index: index)) }
        },
        Workload("select", "masked_select") {
            let x = normal(4096, 4096)
            let mask = x .> 0
            return Timed(shape: "(4096,4096)", bytes: 7 * 4096 * 4096) { use(x.maskedSelect(mask)) }
        },
        Workload("select", "unique_1M") {
            let x = Tensor(integers: 0..<1000, shape: [1 << 20])
            return Timed(shape: "(1048576,)", items: ("elements", 1_048_576)) { use(x.unique().values) }
        },
        Workload("select", "lgamma_1M") {
            let x = Tensor(uniform: [1 << 20], low: 0.5, high: 5)
            return Timed(shape: "(1048576,)", bytes: 8 * Double(1 << 20)) { use(lgamma(x)) }
        },
        Workload("select", "where_4096") {
            let x = normal(4096, 4096), y = normal(4096, 4096)
            let mask = x .> 0
            return Timed(shape: "(4096,4096)", bytes: 13 * 4096 * 4096) { use(which(mask, x, y)) }
        },
        Workload("select", "einsum_attention") {
            let q = normal(8, 12, 256, 64), k = normal(8, 12, 256, 64)
            return Timed(shape: "(8,12,256,64) twice", flops: 2 * 8 * 12 * 256 * 256 * 64) { use(einsum("bhqd,bhkd->bhqk", q, k)) }
        },
        Workload("select", "vmap_gradients") {
            let w = normal(256, 256), x = normal(64, 256)
            let perExample = vmap({ x in grad(of: { w in square(tanh(w • x)).sum() })(w) })
            return Timed(shape: "64 gradients of (256,256)", items: ("examples", 64)) { use(perExample(x)) }
        },
    ]
}
