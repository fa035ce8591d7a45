extension PretrainedTokenizer {
    /// The tokens of a conversation as the model reads it: ``chatText(_:addGenerationPrompt:values:)``, encoded. A special token that a
    /// message spells (`<|im_end|>`) is read as plain text there, so that no message can end its turn or begin another; the template's own
    /// are tokens. Throws as `chatText` and ``encode(_:addSpecialTokens:)`` do.
    public func chatTokens(
        _ messages: [ChatTemplate.Message], addGenerationPrompt: Bool = true, values: [(name: String, value: TemplateValue)] = []
    ) throws -> [Int] {
        let literals = addedTokens.filter(\.isSpecial).map { Array($0.content.utf8) }
        // A scalar of private use that no message has goes between the first scalar of such a literal and the rest, and is taken out again
        // once tokens have been looked for. So the template sees, and words are cut from, what surrounds the literal too.
        let used = Set(messages.lazy.flatMap { $0.content.unicodeScalars }.filter { (0xE000...0xF8FF).contains($0.value) })
        guard let mark = (0xE000...0xF8FF).lazy.compactMap({ Unicode.Scalar($0) }).first(where: { !used.contains($0) }) else {
            throw TokenizerError("the conversation uses every character of private use")
        }
        let bytes = Array(String(Character(mark)).utf8)
        let marked = messages.map { message in
            var message = message
            message.content = Self.breaking(literals, in: message.content, by: bytes)
            return message
        }
        return try plainIDs(
            chatText(marked, addGenerationPrompt: addGenerationPrompt, values: values), without: bytes)
    }

    /// `text` with `mark` behind the first scalar of each of the `literals` in it.
    private static func breaking(_ literals: [[UInt8]], in text: String, by mark: [UInt8]) -> String {
        let bytes = Array(text.utf8)
        let byFirst = Dictionary(grouping: literals) { $0[0] }
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var start = 0
        while start < bytes.count {
            var end = start + 1
            while end < bytes.count, bytes[end] & 0xC0 == 0x80 { end += 1 }
            result += bytes[start..<end]
            // Within a literal others may begin, so every scalar is looked at.
            if let candidates = byFirst[bytes[start]], candidates.contains(where: { bytes[start...].starts(with: $0) }) {
                result += mark
            }
            start = end
        }
        return String(decoding: result, as: UTF8.self)
    }
}

extension [UInt8] {
    /// Without the occurrences of `part`, which is the encoding of a scalar.
    func removing(_ part: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        result.reserveCapacity(count)
        var i = 0
        while i < count {
            if self[i] == part[0], self[i...].starts(with: part) {
                i += part.count
            } else {
                result.append(self[i])
                i += 1
            }
        }
        return result
    }
}
