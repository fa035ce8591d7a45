import CoreTensor
import Data
import NN

#if canImport(Glibc)
    import Glibc
#elseif canImport(Musl)
    import Musl
#endif

/// Fills a model's placeholders from an archive: first every name and shape is checked, then the tensors are taken.
struct WeightLoader {
    private let archive: any TensorArchive
    private let path: String
    private let names: Set<String>

    init(_ archive: any TensorArchive, path: String) {
        self.archive = archive
        self.path = path
        names = Set(archive.names)
    }

    /// The float type of the largest tensors.
    func commonType() throws -> DType {
        var largest: (name: String, count: Int)?
        for name in archive.names {
            let shape = try archive.shape(of: name)
            let count = shape.reduce(1) { $0.multipliedReportingOverflow(by: $1).partialValue }
            if shape.count > 1, count > largest?.count ?? 0 { largest = (name, count) }
        }
        if let largest, let file = archive as? GGUFFile {
            // Not by the tensor itself, which would be dequantised for it.
            let type = try file.storedType(of: largest.name)
            return type == .f16 ? .float16 : type == .bf16 ? .bfloat16 : .float32
        }
        guard let largest, case let type = try archive.tensor(largest.name).dtype, type.isFloatingPoint else { return .float32 }
        return type == .float64 ? .float32 : type
    }

    func fill(_ model: any PretrainedModel) throws {
        guard let named = model as? any NamedWeights else { throw PretrainedError(path, "\(type(of: model)) names no weights") }
        try fill(model, names: named.weightNames)
    }

    /// With the names of other files than Hugging Face's.
    func fill(_ model: Module, names table: WeightNames) throws {
        let parameters = model.namedParameters
        var plan: [(parameter: Parameter, pieces: [String], form: WeightNames.Form)] = []
        var missing: [String] = []
        for (name, parameter) in parameters {
            guard let source = table.source(of: name) else {
                throw PretrainedError(path, "there is no rule for the parameter \(name)")
            }
            let pieces = source.names.compactMap { present($0, table.basePrefix) }
            if pieces.count != source.names.count {
                missing.append(source.names[0])
                continue
            }
            try checkShapes(pieces, source.form, parameter.shape)
            plan.append((parameter, pieces, source.form))
        }
        if !missing.isEmpty {
            let shown = missing.prefix(5).joined(separator: ", ") + (missing.count > 5 ? " and \(missing.count - 5) more" : "")
            throw PretrainedError(path, "the weights lack \(shown)")
        }
        var isAllMapped = true
        for (_, pieces, form) in plan {
            switch form {
            case .same where pieces.count == 1, .rows: continue
            default: isAllMapped = false
            }
        }
        for (parameter, pieces, form) in plan {
            let tensor = try value(pieces, form, parameter.dtype)
            // A small tensor between large ones that were copied: reading it would map its neighbours' pages again.
            let isSmall = !isAllMapped && tensor.count * tensor.dtype.byteCount < 1 << 20
            parameter.value = isSmall && tensor.raw.storage.owner is MappedFile ? tensor.copiedToMemory() : tensor
        }
    }

    /// The name as it is in the archive, where base models lack a prefix that models with a head have.
    private func present(_ name: String, _ prefix: String) -> String? {
        if names.contains(name) { return name }
        if prefix.isEmpty { return nil }
        let other = name.hasPrefix(prefix) ? String(name.dropFirst(prefix.count)) : prefix + name
        if names.contains(other) { return other }
        // Checkpoints converted from TensorFlow.
        let old = name.replacingSuffix(".LayerNorm.weight", ".LayerNorm.gamma").replacingSuffix(
            ".LayerNorm.bias", ".LayerNorm.beta")
        return old != name ? [old, String(old.dropFirst(prefix.count))].first(where: names.contains) : nil
    }

    private func checkShapes(_ pieces: [String], _ form: WeightNames.Form, _ shape: [Int]) throws {
        var found = try pieces.map { try archive.shape(of: $0) }
        switch form {
        case .same, .interleavedRows: break
        case .transposed: found = found.map { $0.reversed() }
        case .rows(let start, let count):
            guard found[0].count == shape.count, start + count <= found[0][0] else {
                throw PretrainedError(path, "\(pieces[0]) has shape \(found[0]); the configuration needs \(start + count) rows")
            }
            found[0][0] = count
        }
        let fits = found.allSatisfy { $0.count == shape.count && $0.dropFirst() == shape.dropFirst() }
        if !fits || (!shape.isEmpty && found.reduce(0) { $0 + $1[0] } != shape[0]) {
            throw PretrainedError(
                path, "\(pieces[0]) has shape \(try archive.shape(of: pieces[0])); the configuration needs \(shape)")
        }
    }

    private func value(_ pieces: [String], _ form: WeightNames.Form, _ dtype: DType) throws -> Tensor {
        let read = try pieces.map { try archive.tensor($0) }
        for (name, tensor) in zip(pieces, read) where !tensor.dtype.isFloatingPoint {
            throw PretrainedError(path, "\(name) is of type \(tensor.dtype); weights are floats")
        }
        let converted: Tensor
        switch form {
        case .same:
            if read.count == 1 {
                converted = read[0].to(dtype)
                if read[0].dtype == dtype { return converted }
            } else {
                converted = concatenate(read.map { $0.to(dtype) })
            }
        case .interleavedRows(let heads):
            converted = WeightNames.reordered(read[0].to(dtype), [heads, read[0].shape[0] / heads / 2, 2])
        case .transposed: converted = read[0].transposed().to(dtype).contiguous()
        case .rows(let start, let count):
            let rows = read[0].narrowed(axis: 0, start: start, length: count)
            converted = rows.to(dtype)
            if rows.dtype == dtype { return converted }
        }
        // What was copied need not stay in memory twice.
        for tensor in read { tensor.releasePages() }
        return converted
    }
}

extension Tensor {
    /// The same numbers in memory of their own.
    fileprivate func copiedToMemory() -> Tensor {
        var copy = Tensor(zeros: shape, dtype: dtype)
        withUnsafeBytes { source in copy.withUnsafeMutableBytes { $0.copyMemory(from: source) } }
        releasePages()
        return copy
    }

    /// Lets the system take back the pages of a mapped file that this tensor lies on; they are read again if they are used.
    fileprivate func releasePages() {
        guard raw.storage.owner is MappedFile, raw.isContiguous, count > 0 else { return }
        let page = Int(sysconf(Int32(_SC_PAGESIZE)))
        let start = Int(bitPattern: raw.pointer), end = start + count * dtype.byteCount
        // Pages that lie wholly within the tensor.
        let first = (start + page - 1) / page * page, last = end / page * page
        if first < last { madvise(UnsafeMutableRawPointer(bitPattern: first), last - first, MADV_DONTNEED) }
    }
}

extension String {
    fileprivate func replacingSuffix(_ old: String, _ new: String) -> String { hasSuffix(old) ? dropLast(old.count) + new : self }
}

/// Makes a folder unless it is there.
func makeFolder(_ path: String) throws {
    if mkdir(path, 0o755) != 0 && errno != EEXIST {
        throw PretrainedError(path, "cannot make the folder: \(String(cString: strerror(errno)))")
    }
}

/// Whether there is anything at the path.
func fileExists(_ path: String) -> Bool { access(path, F_OK) == 0 }
