"""Limits and time-outs with their relations (7.4): name, default, lowest, highest."""
from wire import need

LIMITS = [
    ("window_blocks", 4, 1, 16), ("checkpoint_blocks", 1024, 16, 1048576),
    ("rotation_blocks", 10000, 16, 1000000000), ("key_bytes_max", 256, 32, 256),
    ("value_bytes_max", 65536, 32, 65536), ("table_keys_max", 16777216, 1024, 4294967296),
    ("table_bytes_max", 8589934592, 1048576, 1099511627776), ("batch_bytes_max", 1048576, 131072, 8388608),
    ("batch_ops_max", 16384, 1, 262144), ("batch_parts_max", 256, 1, 4096),
    ("slice_bytes_max", 4194304, 1048576, 16777216), ("slice_ops_max", 65536, 16, 1048576),
    ("block_refs_max", 1024, 16, 16384), ("block_input_bytes_max", 16777216, 2097152, 268435456),
    ("number_window", 1024, 16, 65536), ("record_bytes_max", 1048576, 65536, 67108864),
    ("credit_ops", 262144, 1024, 16777216), ("credit_bytes", 268435456, 1048576, 17179869184),
    ("read_bytes_default", 1024, 0, 65536), ("due_blocks", 2, 1, 64), ("enough_ops", 8192, 1, 1048576),
    ("enough_bytes", 1048576, 1024, 16777216), ("unacked_bytes_max", 67108864, 1048576, 17179869184),
    ("relay_bytes_max", 33554432, 8388608, 4294967296), ("answer_blocks_kept", 4096, 16, 1048576),
    ("clients_max", 65536, 16, 1048576), ("throughput_percent", 35, 1, 90), ("queue_policy", 0, 0, 1),
    ("link_version_min", 1, 1, 65535), ("link_version_max", 1, 1, 65535), ("aead_allowed", 1, 1, 3)]
TIMEOUTS = [
    ("view_base_ms", 1000, 50, 60000), ("view_max_ms", 60000, 1000, 3600000),
    ("input_relay_ms", 1000, 50, 60000), ("throughput_window_ms", 1000, 100, 60000),
    ("throughput_half_life_ms", 60000, 1000, 3600000), ("due_ms", 10, 1, 10000),
    ("t_idle_ms", 1000, 50, 3600000), ("time_ahead_ms", 1000, 1000, 1000), ("handshake_ms", 5000, 100, 60000),
    ("link_ping_ms", 2000, 100, 60000), ("link_idle_ms", 10000, 500, 600000), ("reconnect_min_ms", 50, 10, 10000),
    ("reconnect_max_ms", 5000, 100, 600000), ("fetch_ms", 200, 10, 60000), ("source_slow_ms", 1000, 50, 60000),
    ("last_signed_ms", 500, 50, 60000)]


def limits_relations(v, clients=0):
    """S-42."""
    need(v["key_bytes_max"] + v["value_bytes_max"] + 1024 <= v["batch_bytes_max"]
         and v["batch_bytes_max"] + 65536 <= v["slice_bytes_max"]
         and v["slice_bytes_max"] + 65536 <= v["block_input_bytes_max"]
         and 4 * v["batch_bytes_max"] <= v["relay_bytes_max"] and v["batch_ops_max"] <= v["slice_ops_max"]
         and 8 * v["batch_ops_max"] <= v["credit_ops"] and v["enough_ops"] <= v["slice_ops_max"]
         and v["enough_bytes"] <= v["slice_bytes_max"] <= v["unacked_bytes_max"]
         and v["slice_bytes_max"] <= v["credit_bytes"] and 64 * v["number_window"] <= v["record_bytes_max"]
         and v["read_bytes_default"] <= v["value_bytes_max"] and v["window_blocks"] <= v["checkpoint_blocks"] // 4
         and v["number_window"] % 16 == 0 and v["link_version_min"] <= v["link_version_max"]
         and v["aead_allowed"] & 1 and clients <= v["clients_max"], "limits-conflict")


def timeouts_relations(t):
    need(t["view_base_ms"] <= t["view_max_ms"] and t["due_ms"] <= t["view_base_ms"]
         and 2 * t["link_ping_ms"] <= t["link_idle_ms"] and t["reconnect_min_ms"] <= t["reconnect_max_ms"]
         and t["throughput_window_ms"] <= t["throughput_half_life_ms"], "limits-conflict")
