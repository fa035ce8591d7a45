import Foundation
import Tapestry
import Testing

/// Every bad value is refused with an error that names the file and the key, before anything is allocated.
@Suite struct BadConfigurationTests {
    private static let llama = """
        "model_type": "llama", "vocab_size": 31, "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4,
        "intermediate_size": 20, "max_position_embeddings": 64
        """

    /// Later keys win, so what is added replaces what is there.
    private static let bad: [(text: String, names: String)] = [
        ("\"num_attention_heads\": 0", "num_attention_heads"), ("\"num_attention_heads\": 3", "divide"),
        ("\"num_attention_heads\": -4", "num_attention_heads"), ("\"num_key_value_heads\": 3", "divide"),
        ("\"num_key_value_heads\": 0", "num_key_value_heads"), ("\"num_hidden_layers\": 1000000000", "num_hidden_layers"),
        ("\"num_hidden_layers\": 0", "num_hidden_layers"), ("\"num_hidden_layers\": 1.5", "num_hidden_layers"),
        ("\"hidden_size\": \"16\"", "hidden_size"), ("\"hidden_size\": 1e400", "hidden_size"),
        ("\"hidden_size\": true", "hidden_size"),
        ("\"vocab_size\": 9223372036854775807", "vocab_size"), ("\"rms_norm_eps\": NaN", "JSON"),
        ("\"rms_norm_eps\": 1e999", "rms_norm_eps"),
        ("\"rms_norm_eps\": -1", "rms_norm_eps"), ("\"rope_theta\": -10000", "rope_theta"), ("\"rope_theta\": 0", "rope_theta"),
        ("\"rope_parameters\": {\"rope_theta\": -1}", "rope_theta"), ("\"rope_parameters\": 7", "rope_parameters"),
        ("\"rope_parameters\": {\"rope_type\": \"spiral\"}", "spiral"), ("\"rope_scaling\": {\"type\": \"linear\"}", "factor"),
        ("\"rope_scaling\": {\"type\": \"linear\", \"factor\": 0}", "factor"),
        (
            "\"rope_scaling\": {\"rope_type\": \"llama3\", \"factor\": 8, \"low_freq_factor\": 4, \"high_freq_factor\": 4}",
            "high_freq_factor"
        ),
        ("\"rope_scaling\": {\"rope_type\": \"longrope\", \"short_factor\": [1], \"long_factor\": [1, 2]}", "short_factor"),
        ("\"head_dim\": 5", "even"), ("\"head_dim\": 268435456", "too many"), ("\"hidden_act\": \"sudo\"", "sudo"),
        ("\"model_type\": \"mamba\"", "mamba"), ("\"pad_token_id\": 31", "31"),
        ("\"attention_dropout\": 1.5", "attention_dropout"),
        ("\"model_type\": \"mistral\", \"sliding_window\": 0", "sliding_window"),
        (
            "\"model_type\": \"qwen2\", \"use_sliding_window\": true, \"sliding_window\": 4, \"layer_types\": [\"x\", \"y\"]",
            "layer_types"
        ),
        ("\"tie_word_embeddings\": 1", "tie_word_embeddings"),
    ]

    @Test(arguments: bad.indices) func decoder(_ index: Int) {
        let (text, name) = Self.bad[index]
        let error = #expect(throws: PretrainedError.self) {
            _ = try DecoderConfiguration(json: "{\(Self.llama), \(text)}", path: "somewhere/config.json")
        }
        #expect(
            error?.description.contains("somewhere/config.json") == true && error?.reason.contains(name) == true,
            "\(error as Any)")
    }

    @Test func others() {
        func refused<C: PretrainedConfiguration>(_ type: C.Type, _ text: String, _ name: String) {
            let error = #expect(throws: PretrainedError.self) { _ = try C(json: text, path: "c.json") }
            #expect(error?.reason.contains(name) == true, "\(text): \(error as Any)")
        }
        refused(GPT.Configuration.self, "{\"n_embd\": 10, \"n_head\": 3}", "divide")
        refused(GPT.Configuration.self, "{\"activation_function\": 4}", "activation_function")
        refused(GPT.Configuration.self, "{\"n_layer\": 1000000000}", "n_layer")
        refused(GPT.Configuration.self, "[]", "object")
        refused(GPT.Configuration.self, "", "JSON")
        refused(GPT.Configuration.self, String(repeating: "[", count: 100_000), "JSON")
        refused(GPT.Configuration.self, "{\"a\":" + String(repeating: "{\"a\":", count: 50_000), "JSON")
        refused(BERTConfiguration.self, "{\"layer_norm_eps\": \"NaN\"}", "layer_norm_eps")
        refused(BERTConfiguration.self, "{\"position_embedding_type\": \"relative_key\"}", "position_embedding_type")
        refused(BERTConfiguration.self, "{\"num_attention_heads\": 0}", "num_attention_heads")
        refused(ViTConfiguration.self, "{\"image_size\": 224, \"patch_size\": 15}", "divide")
        refused(ViTConfiguration.self, "{\"image_size\": 2147483648}", "image_size")
        refused(T5Configuration.self, "{\"relative_attention_num_buckets\": 3}", "relative_attention_num_buckets")
        refused(T5Configuration.self, "{\"relative_attention_max_distance\": 16}", "distance")
        refused(T5Configuration.self, "{\"feed_forward_proj\": \"gated-\"}", "feed_forward_proj")
        refused(T5Configuration.self, "{\"decoder_start_token_id\": 999999}", "999999")
    }

    /// Sizes that the weights do not have: an error, and no memory for them.
    @Test func sizesBeyondTheWeights() throws {
        try ModelFixtures.inFolder { folder in
            try ModelFixtures.decoder("llama").save(folder: folder)
            func refused(_ change: String, _ name: String) throws {
                try "{\(Self.llama), \"head_dim\": 8, \"num_key_value_heads\": 2, \(change)}"
                    .write(toFile: "\(folder)/config.json", atomically: true, encoding: .utf8)
                let error = #expect(throws: PretrainedError.self) { try Models.load(folder) }
                #expect(error?.reason.contains(name) == true, "\(change): \(error as Any)")
            }
            try refused("\"num_hidden_layers\": 16000", "layers")
            try refused("\"num_hidden_layers\": 3", "layers.2")
            try refused("\"vocab_size\": 268435456", "embed_tokens")
            try refused("\"hidden_size\": 268435456", "needs")
            try refused("\"intermediate_size\": 268435456", "gate_proj")
            try refused("\"attention_bias\": true", "q_proj.bias")
            try refused("\"model_type\": \"gpt2\"", "wte")
        }
    }

    @Test func folders() throws {
        #expect(throws: (any Error).self) { try Models.load("/nowhere/at/all") }
        try ModelFixtures.inFolder { folder in
            #expect(throws: (any Error).self) { try Models.load(folder) }
            try "{}".write(toFile: "\(folder)/config.json", atomically: true, encoding: .utf8)
            #expect(throws: PretrainedError.self) { try Models.load(folder) }
            try Data([0x7B, 0xFF, 0xFE, 0x7D]).write(to: URL(fileURLWithPath: "\(folder)/config.json"))
            #expect(throws: PretrainedError.self) { try Models.load(folder) }
            #expect(throws: PretrainedError.self) { try GPT.Configuration(folder) }
        }
    }
}
