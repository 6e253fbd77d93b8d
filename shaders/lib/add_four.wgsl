// a + v.x * rows[0] + v.y * rows[1] + v.z * rows[2] + v.w * rows[3], one term after the other.
fn add_four(a: vec4f, v: vec4f, rows: mat4x4f) -> vec4f { return a + v.x * rows[0] + v.y * rows[1] + v.z * rows[2] + v.w * rows[3]; }
