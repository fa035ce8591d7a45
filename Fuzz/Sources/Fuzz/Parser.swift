import Foundation

@testable import CoreTensor
@testable import Data

/// The parsers of files from outside.
enum Parser: String {
    case safetensors, npy, npz, gguf, pt, tokenizer, sentencepiece, pattern

    static let chosen: Parser = {
        let name = ProcessInfo.processInfo.environment["TAPESTRY_FUZZ"] ?? ""
        guard let parser = Parser(rawValue: name) else { fatalError("TAPESTRY_FUZZ names no parser: \(name)") }
        return parser
    }()

    func read(_ bytes: UnsafeRawBufferPointer) throws {
        switch self {
        case .safetensors: try touch(SafetensorsFile(MappedFile(copying: bytes)))
        case .npy: touch(try NumpyArray.tensor(bytes, mapped: nil))
        case .npz: try touch(NumpyArchive(MappedFile(copying: bytes), limit: 1 << 24))
        case .gguf:
            let file = try GGUFFile(MappedFile(copying: bytes))
            for key in file.metadataKeys { _ = try file.metadata(key) }
            try touch(file)
            _ = try? GGUFTokenizer.read(file).encode("Hello, wörld 123 <s>")
        case .pt: try touch(TorchFile(MappedFile(copying: bytes)))
        case .tokenizer: try encode(Tokenizers.load(json: bytes))
        case .sentencepiece: try encode(SentencePieceFile.read(bytes, TokenizerConfig()))
        case .pattern:
            let parts = bytes.split(separator: 0, maxSplits: 1)
            guard parts.count == 2, let pattern = String(validating: parts[0], as: UTF8.self), pattern.utf8.count < 200,
                let text = String(validating: parts[1], as: UTF8.self)
            else { return }
            try Array(text.utf8).withUnsafeBytes { try Pattern(pattern).forEachMatch($0) { _ in } }
        }
    }

    private func touch(_ archive: some TensorArchive) throws {
        for name in archive.names {
            // Shapes first: what is small enough is read whole.
            guard try archive.shape(of: name).reduce(1, { $0 * max($1, 1) }) < 1 << 22 else { continue }
            try? touch(archive.tensor(name))
        }
    }

    private func touch(_ tensor: Tensor) {
        if tensor.count < 1 << 22 { _ = tensor.contiguous().withUnsafeBytes { $0.reduce(0, &+) } }
    }

    private func encode(_ tokenizer: PretrainedTokenizer) throws {
        let ids = try tokenizer.encode("Hello, wörld e\u{301} 日本 123 <s></s>\n  x")
        _ = try tokenizer.decode(ids)
        _ = try tokenizer.decode(Array(0..<20), skipSpecialTokens: false)
    }
}
