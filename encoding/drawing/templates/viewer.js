"use strict";
(async () => {
  const $ = (id) => document.getElementById(id);
  const scene = JSON.parse($("scene").textContent);
  const pictures = (why) => {
    $("pictures").insertAdjacentHTML("beforeend", $("still").textContent);
    $("pictures").hidden = false;
    $("why").textContent = why;
    $("stage").hidden = $("controls").hidden = true;
  };
  let bytes;
  try {
    const packed = Uint8Array.from(atob($("data").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
    bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (error) {
    return pictures(`This browser cannot unpack the maps (${error.message}): pictures instead.`);
  }

  // Arrays: byte planes, perhaps differences of neighbours `stride` apart; maps are whole multiples of `step`.
  const kept = new Map();
  const array = (ref) => {
    if (!ref) return null;
    if (kept.has(ref)) return kept.get(ref);
    const { at, n, size, stride, step } = ref;
    const bits = 32 - 8 * size;
    const whole = new Int32Array(n);
    for (let i = 0; i < n; i++) {
      let value = 0;
      for (let k = 0; k < size; k++) value |= bytes[at + k * n + i] << (8 * k);
      if (stride && i >= stride) value += whole[i - stride];
      whole[i] = (value << bits) >> bits;
    }
    const none = -(2 ** (8 * size - 1));
    const out = step ? Float32Array.from(whole, (q) => (q === none ? NaN : q * step)) : whole;
    kept.set(ref, out);
    return out;
  };
  const bit = (ref, i) => (array(ref)[i >> 3] >> (i & 7)) & 1;
  const unsigned = (ref) => array(ref) && Array.from(array(ref), (v) => v & (2 ** (8 * ref.size) - 1));

  // What is shown, as it stands in the address.
  const names = scene.spaces.map((space) => space.name);
  const start = { s: scene.start, a: 0, b: Math.min(1, names.length - 1), m: "one", t: scene.scale.threshold, v: "inflated", o: 1, p: 1, y: 0, z: 0, k: "" };
  const state = { ...start };
  const subject = () => scene.subjects[state.s];
  const read = () => {
    const found = new URLSearchParams(location.hash.slice(1));
    Object.assign(state, start);
    const index = (list, text, other) => (list.indexOf(text) < 0 ? other : list.indexOf(text));
    if (found.has("subject")) state.s = index(scene.subjects.map((one) => one.id), found.get("subject"), start.s);
    if (found.has("space")) state.a = index(names, found.get("space"), 0);
    if (found.has("second")) state.b = index(names, found.get("second"), start.b);
    if (["one", "two", "best"].includes(found.get("mode"))) state.m = found.get("mode");
    if (scene.views[found.get("view")]) state.v = found.get("view");
    for (const [key, name] of [["t", "threshold"], ["y", "yaw"], ["z", "pitch"]]) {
      if (found.has(name) && isFinite(found.get(name))) state[key] = Number(found.get(name));
    }
    state.o = found.get("outlines") === "0" ? 0 : 1;
    state.p = found.get("passed") === "0" ? 0 : 1;
    state.k = found.get("at") || "";
  };
  // A page within a page, in a notebook say, has no address of its own.
  const address = (hash) => { try { history.replaceState(null, "", hash); } catch { /* it works without */ } };
  const write = () => {
    const said = new URLSearchParams({ subject: subject().id, mode: state.m, space: names[state.a], threshold: +state.t.toFixed(4), view: state.v });
    if (state.m === "two") said.set("second", names[state.b]);
    if (state.y || state.z) { said.set("yaw", Math.round(state.y)); said.set("pitch", Math.round(state.z)); }
    if (!state.o) said.set("outlines", 0);
    if (!state.p) said.set("passed", 0);
    if (state.k) said.set("at", state.k);
    address(`#${said}`);
  };

  // Maps of the chosen subject; those of the mean are made here, from the same numbers.
  const means = new Map();
  const map = (one, k, part) => {
    if (one.maps) return array(one.maps[k][part]);
    const key = `${k} ${part}`;
    if (!means.has(key)) {
      const all = scene.subjects.filter((other) => other.maps).map((other) => map(other, k, part));
      means.set(key, all[0] && all[0].map((_, i) => all.reduce((sum, values) => sum + values[i], 0) / all.length));
    }
    return means.get(key);
  };
  const best = (one, part) => (one.best ? { winner: array(one.best.winner[part]), lead: array(one.best.lead[part]) } : null);

  // Colours: the same rules as in the report, here for slices and keys, below for the graphics card.
  const hex = (text) => [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16) / 255);
  const colors = scene.spaces.map((space) => hex(space.color));
  const [both, tie] = [hex(scene.both), hex(scene.tie)];
  const corners = () => [colors[state.a], colors[state.b], both];
  const table = unsigned(scene.scale.lut);
  const limit = () => (state.m === "best" ? scene.lead : scene.scale.vmax);
  const opacity = (value) => {
    if (state.t > 0) return value >= state.t ? 1 : scene.below * Math.min(Math.max(value / state.t, 0), 1) ** 2;
    return Math.min(Math.max(value / (scene.fade * scene.scale.vmax), 0), 1) ** 2;
  };
  const blend = (color, part, ground) => color.map((c, i) => part * c + (1 - part) * ground[i]);
  const paint = (a, b, winner, passed, ground) => {
    const top = scene.scale.vmax;
    if (state.m === "best") {
      if (winner === -1 || a < state.t) return ground;
      if (winner < -1) return tie;
      const part = Math.min(Math.max(a / scene.lead, 0), 1);
      return colors[winner].map((c) => (1 - part) * (0.22 * c + 0.78 * 0.93) + part * c);
    }
    if (state.m === "two") {
      // Hue by direction, opacity by height.
      const [p, q] = [a, b].map((value) => Math.min(Math.max(value / top, 0), 1)), high = Math.max(p, q, 1e-9);
      const [x, y] = [p / high, q / high], [one, other, dark] = corners(), sum = x * (1 - y) + y * (1 - x) + x * y || 1;
      const hue = one.map((c, i) => (x * (1 - y) * c + y * (1 - x) * other[i] + x * y * dark[i]) / sum);
      return blend(hue, high ** 0.75 * (state.t > 0 ? opacity(Math.max(a, b)) : 1), ground);
    }
    const place = 3 * Math.min(Math.max(Math.floor((a / top) * 256), 0), 255);
    const color = [table[place] / 255, table[place + 1] / 255, table[place + 2] / 255];
    return blend(color, opacity(a) * (passed ? 1 : scene.faded), ground);
  };
  // The three numbers of every place that colours depend on.
  const layers = (part) => {
    const one = subject();
    const first = map(one, state.a, part);
    if (!first) return null;
    const found = state.m === "best" ? best(one, part) : null;
    const mask = state.p && one.passed && one.passed[state.a] ? one.passed[state.a][part] : null;
    return {
      a: state.m === "best" ? (found ? found.lead : first.map(() => NaN)) : first,
      b: state.m === "two" ? map(one, state.b, part) : null,
      winner: found ? found.winner : null,
      passed: (i) => !mask || state.m !== "one" || bit(mask, i),
    };
  };

  // Regions: members of the ROI set, and the parcel under the cursor.
  const places = (i, part) => {
    const told = [];
    for (const atlas of subject().atlases || []) {
      const label = array(atlas.labels[part])?.[i];
      if (label) told.push(scene.atlases[atlas.of].names[label]);
      for (const roi of atlas.rois) if (bit(roi.mask[part], i)) told.push(roi.name);
    }
    return told;
  };
  const regions = (part) => {
    const atlas = (subject().atlases || [])[0], labels = atlas && array(atlas.labels[part]);
    return labels ? atlas.rois.map((roi) => Uint8Array.from(labels, (_, i) => bit(roi.mask[part], i))) : [];
  };

  // Surfaces.
  const canvas = $("surface");
  const gl = canvas.getContext("webgl2", { antialias: true });
  const shapes = new Map();
  const wanted = scene.subjects.some((one) => one.surface !== null);
  if (wanted && !gl) return pictures("This browser has no WebGL: pictures instead.");
  const W = 1024;
  const shader = (kind, text) => {
    const made = gl.createShader(kind);
    gl.shaderSource(made, `#version 300 es\nprecision highp float; precision highp int; precision highp usampler2D; precision highp sampler2D;\n${text}`);
    gl.compileShader(made);
    if (!gl.getShaderParameter(made, gl.COMPILE_STATUS)) throw new Error(gl.getShaderInfoLog(made));
    return made;
  };
  const program = (vertex, fragment) => {
    const made = gl.createProgram();
    gl.attachShader(made, shader(gl.VERTEX_SHADER, vertex));
    gl.attachShader(made, shader(gl.FRAGMENT_SHADER, fragment));
    gl.linkProgram(made);
    const at = new Map();
    return { made, set: (name) => { if (!at.has(name)) at.set(name, gl.getUniformLocation(made, name)); return at.get(name); } };
  };
  const texture = (data, whole) => {
    const made = gl.createTexture();
    gl.bindTexture(gl.TEXTURE_2D, made);
    const rows = Math.ceil(data.length / 4 / W);
    const padded = new (whole ? Uint32Array : Float32Array)(rows * W * 4);
    padded.set(data);
    gl.texImage2D(gl.TEXTURE_2D, 0, whole ? gl.RGBA32UI : gl.RGBA32F, W, rows, 0, whole ? gl.RGBA_INTEGER : gl.RGBA, whole ? gl.UNSIGNED_INT : gl.FLOAT, padded);
    for (const key of [gl.TEXTURE_MIN_FILTER, gl.TEXTURE_MAG_FILTER]) gl.texParameteri(gl.TEXTURE_2D, key, gl.NEAREST);
    return made;
  };
  const FETCH = `
    uniform sampler2D uPos; uniform mat3 uView; uniform vec3 uMid; uniform vec2 uScale, uShift;
    ivec2 at(int i) { return ivec2(i % ${W}, i / ${W}); }
    vec4 placed(vec3 p, float lift) { vec3 q = uView * (p - uMid); return vec4(q.xy * uScale + uShift, -(q.z + lift) / 500.0, 1.0); }`;
  const brain = gl && program(`${FETCH}
    uniform usampler2D uFaces; uniform sampler2D uNormal, uData;
    out vec3 bary; out float depth, facing; flat out vec3 A, B, C;
    void main() {
      uvec3 f = texelFetch(uFaces, at(gl_VertexID / 3), 0).xyz; int k = gl_VertexID % 3;
      vec4 d0 = texelFetch(uData, at(int(f.x)), 0), d1 = texelFetch(uData, at(int(f.y)), 0), d2 = texelFetch(uData, at(int(f.z)), 0);
      A = vec3(d0.x, d1.x, d2.x); B = vec3(d0.y, d1.y, d2.y); C = vec3(d0.z, d1.z, d2.z);
      bary = vec3(k == 0, k == 1, k == 2);
      vec4 p = texelFetch(uPos, at(int(k == 0 ? f.x : k == 1 ? f.y : f.z)), 0);
      depth = p.w; facing = (uView * texelFetch(uNormal, at(int(k == 0 ? f.x : k == 1 ? f.y : f.z)), 0).xyz).z;
      gl_Position = placed(p.xyz, 0.0);
    }`, `
    uniform sampler2D uLut, uColors; uniform int uMode; uniform float uTop, uLine, uFade, uBelow, uFaded, uLead, uStripe;
    uniform vec3 uCorner[3], uTie;
    in vec3 bary; in float depth, facing; flat in vec3 A, B, C; out vec4 color;
    float shown(float v) { return uLine > 0.0 ? (v >= uLine ? 1.0 : uBelow * pow(clamp(v / uLine, 0.0, 1.0), 2.0)) : pow(clamp(v / (uFade * uTop), 0.0, 1.0), 2.0); }
    void main() {
      vec3 code = floor(C + 0.5); vec3 known = mod(code, 2.0); vec3 passed = mod(floor(code / 2.0), 2.0); vec3 win = floor(code / 4.0) - 3.0;
      vec3 w = bary * known; float share = w.x + w.y + w.z;
      float grey = (0.85 - 0.08 * tanh(2.2 * depth)) * (0.78 + 0.22 * pow(clamp(facing, 0.0, 1.0), 0.6));
      vec3 ground = vec3(share > 0.5 ? grey : mod(gl_FragCoord.x - gl_FragCoord.y, uStripe) < 0.28 * uStripe ? 0.84 : 0.95);
      color = vec4(ground, 1.0);
      if (share <= 0.5) return;
      float a = dot(A, w) / share, b = dot(B, w) / share;
      if (uMode == 2) {
        float label = -1.0, most = 0.0; // the label with the largest weight
        for (int k = 0; k < 3; k++) { float sum = dot(bary, vec3(equal(win, vec3(win[k])))); if (sum > most) { most = sum; label = win[k]; } }
        if (label == -1.0 || a < uLine) return;
        if (label < -1.0) { color.rgb = uTie; return; }
        vec3 hue = texelFetch(uColors, ivec2(int(label), 0), 0).rgb; float part = clamp(a / uLead, 0.0, 1.0);
        color.rgb = mix(0.22 * hue + 0.78 * 0.93, hue, part);
      } else if (uMode == 1) {
        float p = clamp(a / uTop, 0.0, 1.0), q = clamp(b / uTop, 0.0, 1.0), high = max(max(p, q), 1e-9), x = p / high, y = q / high;
        vec3 hue = (x * (1.0 - y) * uCorner[0] + y * (1.0 - x) * uCorner[1] + x * y * uCorner[2]) / max(x + y - x * y, 1e-9);
        color.rgb = mix(ground, hue, pow(high, 0.75) * (uLine > 0.0 ? shown(max(a, b)) : 1.0));
      } else {
        vec3 hue = texelFetch(uLut, ivec2(clamp(int(floor(a / uTop * 256.0)), 0, 255), 0), 0).rgb;
        color.rgb = mix(ground, hue, shown(a) * (dot(passed, w) / share >= 0.5 ? 1.0 : uFaded));
      }
    }`);
  const rim = gl && program(`${FETCH}
    in vec3 line; uniform vec2 uNudge; uniform float uLift;
    void main() { vec3 p = mix(texelFetch(uPos, at(int(line.x)), 0).xyz, texelFetch(uPos, at(int(line.y)), 0).xyz, line.z); gl_Position = placed(p, uLift); gl_Position.xy += uNudge; }`,
    `uniform vec4 uInk; out vec4 color; void main() { color = uInk; }`);

  // One half in one shape: corners of triangles, places, normals; made once.
  const shape = (geometry, h, view) => {
    const key = `${geometry} ${h} ${view.shape}`;
    if (shapes.has(key)) return shapes.get(key);
    const half = scene.geometries[geometry].halves[h];
    const n = half.n, flat = view.shape === "flat";
    const xyz = array(half.shapes[view.shape]), sulci = array(half.sulci);
    let faces = unsigned(half.faces);
    if (flat) { const mask = unsigned(half.flatFaces); faces = faces.filter((_, i) => { const f = (i / 3) | 0; return (mask[f >> 3] >> (f & 7)) & 1; }); }
    const pos = new Float32Array(4 * n), normal = new Float32Array(4 * n), used = new Uint8Array(n);
    for (let i = 0; i < n; i++) { for (let k = 0; k < 3; k++) pos[4 * i + k] = k < 2 || !flat ? xyz[(flat ? 2 : 3) * i + k] : 0; pos[4 * i + 3] = sulci[i]; }
    const get = (i, k) => pos[4 * i + k];
    for (let f = 0; f < faces.length; f += 3) {
      const [i, j, l] = faces.slice(f, f + 3);
      const u = [0, 1, 2].map((k) => get(j, k) - get(i, k)), v = [0, 1, 2].map((k) => get(l, k) - get(i, k));
      const cross = [u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2], u[0] * v[1] - u[1] * v[0]];
      for (const c of [i, j, l]) { used[c] = 1; for (let k = 0; k < 3; k++) normal[4 * c + k] += cross[k]; }
    }
    const low = [1e9, 1e9, 1e9], high = [-1e9, -1e9, -1e9];
    for (let i = 0; i < n; i++) {
      const size = Math.hypot(normal[4 * i], normal[4 * i + 1], normal[4 * i + 2]) || 1;
      for (let k = 0; k < 3; k++) { normal[4 * i + k] /= size; if (used[i]) { low[k] = Math.min(low[k], get(i, k)); high[k] = Math.max(high[k], get(i, k)); } }
    }
    const four = new Uint32Array((faces.length / 3) * 4);
    for (let f = 0; f < faces.length / 3; f++) four.set(faces.slice(3 * f, 3 * f + 3), 4 * f);
    const made = {
      n, pos, faces, used, mid: low.map((l, k) => (l + high[k]) / 2), size: low.map((l, k) => high[k] - l),
      textures: { uFaces: texture(four, true), uPos: texture(pos), uNormal: texture(normal) }, lines: new Map(),
    };
    shapes.set(key, made);
    return made;
  };
  // Borders where the smoothed share of a region is one half, as (vertex, vertex, part of the way).
  const outline = (made, geometry, h) => {
    const key = subject().atlases?.[0]?.of ?? "";
    if (made.lines.has(key)) return made.lines.get(key);
    const offset = h * scene.geometries[geometry].halves[0].n, points = [];
    for (const mask of regions("surface")) {
      let share = Float32Array.from({ length: made.n }, (_, i) => mask[offset + i]);
      if (!share.some(Boolean)) continue;
      for (let step = 0; step < 2; step++) {
        const sum = share.slice(), count = new Float32Array(made.n).fill(1);
        for (let f = 0; f < made.faces.length; f += 3) for (let k = 0; k < 3; k++) {
          const i = made.faces[f + k], j = made.faces[f + ((k + 1) % 3)];
          sum[i] += share[j]; count[i]++;
        }
        share = sum.map((value, i) => value / count[i]);
      }
      for (let f = 0; f < made.faces.length; f += 3) {
        const cut = [];
        for (let k = 0; k < 3; k++) {
          const i = made.faces[f + k], j = made.faces[f + ((k + 1) % 3)];
          if (share[i] > 0.5 !== share[j] > 0.5) cut.push(i, j, (0.5 - share[i]) / (share[j] - share[i]));
        }
        if (cut.length === 6) points.push(...cut);
      }
    }
    const buffer = gl.createBuffer();
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.bufferData(gl.ARRAY_BUFFER, new Float32Array(points), gl.STATIC_DRAW);
    const line = { buffer, n: points.length / 3 };
    made.lines.set(key, line);
    return line;
  };

  const turned = (axes) => {
    const [y, z] = [state.y, state.z].map((degrees) => (degrees * Math.PI) / 180);
    const [right, up] = axes, towards = [right[1] * up[2] - right[2] * up[1], right[2] * up[0] - right[0] * up[2], right[0] * up[1] - right[1] * up[0]];
    const mix = (u, v, angle) => u.map((c, i) => c * Math.cos(angle) + v[i] * Math.sin(angle));
    const r = mix(right, towards, y), t = mix(towards, right, -y);
    return [r, mix(up, t, z), mix(t, up, -z)];
  };
  let panels = [], data = [], lut, palette;
  const surfaceTextures = () => {
    lut = lut || texture(Float32Array.from({ length: 1024 }, (_, i) => (i % 4 < 3 ? table[3 * (i >> 2) + (i % 4)] / 255 : 1)));
    palette = palette || texture(Float32Array.from({ length: 4 * colors.length }, (_, i) => colors[i >> 2][i % 4] ?? 1));
    const geometry = scene.geometries[subject().surface], found = layers("surface");
    let offset = 0;
    data.forEach((one) => gl.deleteTexture(one));
    data = geometry.halves.map((half) => {
      const texels = new Float32Array(4 * half.n);
      for (let i = 0; i < half.n; i++) {
        const k = offset + i, a = found.a[k], b = found.b ? found.b[k] : 0;
        const known = !isNaN(a) && !isNaN(b);
        texels.set([known ? a : 0, known ? b : 0, known + 2 * Boolean(found.passed(k)) + 4 * ((found.winner ? found.winner[k] : -1) + 3)], 4 * i);
      }
      offset += half.n;
      return texture(texels);
    });
  };
  const drawSurface = () => {
    const view = scene.views[state.v], width = canvas.clientWidth, dense = Math.min(devicePixelRatio || 1, 3);
    const all = view.rows.map((row) => row.map((axes, side) => ({ side, axes: turned(axes), name: view.names[view.rows.indexOf(row)], made: shape(subject().surface, side, view) })));
    const still = (panel, row, k) => panel.made.size.reduce((sum, size, i) => sum + size * Math.abs(view.rows[row][panel.side][k][i]), 0);
    const wide = Math.max(...all.flatMap((row, r) => row.map((panel) => still(panel, r, 0))));
    const tall = all.map((row, r) => Math.max(...row.map((panel) => still(panel, r, 1))));
    const room = Math.max(0.56 * innerHeight, 300) - 16 * all.length; // all of it fits on one screen
    const scale = Math.min((width / 2 - 12) / wide, room / tall.reduce((sum, one) => sum + one, 0));
    const heights = tall.map((one) => one * scale + 16), part = Math.min(width / 2, wide * scale + 60);
    const height = heights.reduce((sum, one) => sum + one, 0);
    canvas.style.height = `${height}px`;
    canvas.width = Math.round(width * dense); canvas.height = Math.round(height * dense);
    gl.enable(gl.DEPTH_TEST); gl.enable(gl.CULL_FACE);
    gl.viewport(0, 0, canvas.width, canvas.height);
    gl.disable(gl.SCISSOR_TEST); gl.clearColor(0, 0, 0, 0); gl.clear(gl.COLOR_BUFFER_BIT | gl.DEPTH_BUFFER_BIT); gl.enable(gl.SCISSOR_TEST);
    panels = []; let top = 0;
    all.forEach((row, r) => {
      for (const panel of row) {
        const box = { x: width / 2 + (panel.side - 1) * part, y: top, w: part, h: heights[r], scale, ...panel };
        panels.push(box);
        const place = [box.x * dense, canvas.height - (box.y + box.h) * dense, box.w * dense, box.h * dense];
        gl.viewport(...place); gl.scissor(...place);
        for (const used of [brain, rim]) {
          gl.useProgram(used.made);
          gl.uniformMatrix3fv(used.set("uView"), true, box.axes.flat());
          gl.uniform3fv(used.set("uMid"), box.made.mid);
          gl.uniform2f(used.set("uScale"), (2 * scale) / box.w, (2 * scale) / box.h);
          gl.uniform2f(used.set("uShift"), 0, 0);
          gl.activeTexture(gl.TEXTURE0); gl.bindTexture(gl.TEXTURE_2D, box.made.textures.uPos); gl.uniform1i(used.set("uPos"), 0);
        }
        gl.useProgram(brain.made);
        [["uFaces", box.made.textures.uFaces], ["uNormal", box.made.textures.uNormal], ["uData", data[panel.side]], ["uLut", lut], ["uColors", palette]].forEach(([name, what], k) => {
          gl.activeTexture(gl.TEXTURE1 + k); gl.bindTexture(gl.TEXTURE_2D, what); gl.uniform1i(brain.set(name), k + 1);
        });
        gl.uniform1i(brain.set("uMode"), { one: 0, two: 1, best: 2 }[state.m]);
        for (const [name, value] of [["uTop", scene.scale.vmax], ["uLine", state.t], ["uFade", scene.fade], ["uBelow", scene.below], ["uFaded", scene.faded], ["uLead", scene.lead], ["uStripe", 2.2 * scale * dense]]) gl.uniform1f(brain.set(name), value);
        gl.uniform3fv(brain.set("uCorner"), corners().flat()); gl.uniform3fv(brain.set("uTie"), tie);
        gl.drawArrays(gl.TRIANGLES, 0, box.made.faces.length);
        if (!state.o) continue;
        const line = outline(box.made, subject().surface, panel.side);
        gl.useProgram(rim.made);
        gl.bindBuffer(gl.ARRAY_BUFFER, line.buffer);
        const slot = gl.getAttribLocation(rim.made, "line");
        gl.enableVertexAttribArray(slot); gl.vertexAttribPointer(slot, 3, gl.FLOAT, false, 0, 0);
        const ring = [...Array(8).keys()].map((k) => [Math.cos((k * Math.PI) / 4), Math.sin((k * Math.PI) / 4)]);
        for (const [ink, reach, lift] of [[[0.1, 0.1, 0.1, 1], 1.3, 0.8], [[1, 1, 1, 1], 0.35, 1.2]]) {
          gl.uniform4fv(rim.set("uInk"), ink); gl.uniform1f(rim.set("uLift"), lift);
          for (const [dx, dy] of ring) { gl.uniform2f(rim.set("uNudge"), (2 * reach * dx) / box.w, (2 * reach * dy) / box.h); gl.drawArrays(gl.LINES, 0, line.n); }
        }
      }
      top += heights[r];
    });
    $("labels").replaceChildren(...panels.map((panel) => {
      const told = document.createElement("span");
      told.textContent = `${"LR"[panel.side]} ${panel.name}`;
      told.style.left = `${panel.x + 6}px`; told.style.top = `${panel.y + 2}px`;
      return told;
    }));
  };
  const vertexAt = (x, y) => {
    const box = panels.find((one) => x >= one.x && x < one.x + one.w && y >= one.y && y < one.y + one.h);
    if (!box) return null;
    const u = (x - box.x - box.w / 2) / box.scale, v = -(y - box.y - box.h / 2) / box.scale;
    const { n, pos, faces, mid } = box.made;
    const flat = new Float32Array(3 * n);
    for (let i = 0; i < n; i++) for (let k = 0; k < 3; k++) flat[3 * i + k] = box.axes[k].reduce((sum, c, d) => sum + c * (pos[4 * i + d] - mid[d]), 0);
    let found = -1, height = -Infinity;
    for (let f = 0; f < faces.length; f += 3) {
      const [a, b, c] = [3 * faces[f], 3 * faces[f + 1], 3 * faces[f + 2]];
      const area = (flat[b] - flat[a]) * (flat[c + 1] - flat[a + 1]) - (flat[c] - flat[a]) * (flat[b + 1] - flat[a + 1]);
      if (area <= 0) continue;
      const p = ((flat[b] - u) * (flat[c + 1] - v) - (flat[c] - u) * (flat[b + 1] - v)) / area;
      const q = ((flat[c] - u) * (flat[a + 1] - v) - (flat[a] - u) * (flat[c + 1] - v)) / area;
      if (p < 0 || q < 0 || p + q > 1) continue;
      const far = p * flat[a + 2] + q * flat[b + 2] + (1 - p - q) * flat[c + 2];
      if (far > height) { height = far; found = faces[f + [p, q, 1 - p - q].indexOf(Math.max(p, q, 1 - p - q))]; }
    }
    return found < 0 ? null : { half: box.side, vertex: found };
  };

  // Slices: three planes through one voxel.
  let cross = null, grids = new Map();
  const grid = () => {
    const number = subject().volume;
    if (number === null) return null;
    if (!grids.has(number)) {
      const found = scene.geometries[number];
      const of = new Int32Array(found.shape[0] * found.shape[1] * found.shape[2]).fill(-1);
      array(found.index).forEach((place, i) => { of[place] = i; });
      grids.set(number, { ...found, of, ground: found.ground && unsigned(found.ground), start: found.start });
    }
    return grids.get(number);
  };
  const PLANES = [["sagittal", 0, 1, 2], ["coronal", 1, 0, 2], ["axial", 2, 0, 1]];
  const flatIndex = (g, voxel) => (voxel[0] * g.shape[1] + voxel[1]) * g.shape[2] + voxel[2];
  const drawSlices = () => {
    const g = grid();
    const found = layers("volume"), masks = state.o ? regions("volume") : [];
    if (!cross || cross.some((c, k) => c >= g.shape[k])) cross = [...g.start];
    for (const [name, axis, across, up] of PLANES) {
      const target = $(name), w = g.shape[across], h = g.shape[up], k = Math.max(2, Math.round(480 / Math.max(w, h)));
      target.width = w * k; target.height = h * k;
      const pen = target.getContext("2d"), image = new ImageData(w, h);
      const voxel = [...cross], seen = (i, j) => { voxel[axis] = cross[axis]; voxel[across] = i; voxel[up] = j; return i < 0 || j < 0 || i >= w || j >= h ? -1 : g.of[flatIndex(g, voxel)]; };
      for (let j = 0; j < h; j++) for (let i = 0; i < w; i++) {
        const place = seen(i, j), light = g.ground ? g.ground[flatIndex(g, voxel)] / 63 : null, tissue = light === null ? 0 : Math.min(light / 0.1, 1);
        const tone = light === null ? (place < 0 ? 1 : 0.863) : tissue * (0.46 + 0.48 * light) + 1 - tissue;
        let color = [tone, tone, tone];
        const a = place < 0 ? NaN : found.a[place], b = place < 0 || !found.b ? 0 : found.b[place];
        if (!isNaN(a) && !isNaN(b)) color = paint(a, b, found.winner ? found.winner[place] : -1, found.passed(place), color);
        image.data.set([...color.map((c) => Math.round(255 * c)), place < 0 && tone > 0.999 ? 0 : 255], 4 * ((h - 1 - j) * w + i));
      }
      const small = new OffscreenCanvas(w, h);
      small.getContext("2d").putImageData(image, 0, 0);
      pen.imageSmoothingEnabled = false;
      pen.drawImage(small, 0, 0, w * k, h * k);
      for (const [ink, size] of [["#222", 3], ["#fff", 1.4]]) {
        pen.strokeStyle = ink; pen.lineWidth = size; pen.beginPath();
        for (const mask of masks) for (let j = 0; j <= h; j++) for (let i = 0; i <= w; i++) {
          const inside = (p) => p >= 0 && mask[p], here = inside(seen(i, j));
          if (here !== inside(seen(i - 1, j))) { pen.moveTo(i * k, (h - j) * k); pen.lineTo(i * k, (h - j - 1) * k); }
          if (here !== inside(seen(i, j - 1))) { pen.moveTo(i * k, (h - j) * k); pen.lineTo((i + 1) * k, (h - j) * k); }
        }
        pen.stroke();
      }
      pen.strokeStyle = "#0a84ff"; pen.lineWidth = 1; pen.beginPath();
      const x = (cross[across] + 0.5) * k, y = (h - cross[up] - 0.5) * k;
      pen.moveTo(x, 0); pen.lineTo(x, y - 2 * k); pen.moveTo(x, y + 2 * k); pen.lineTo(x, h * k);
      pen.moveTo(0, y); pen.lineTo(x - 2 * k, y); pen.moveTo(x + 2 * k, y); pen.lineTo(w * k, y); pen.stroke();
      $(`${name}-label`).textContent = `${name} ${"xyz"[axis]} = ${g.mm[axis][cross[axis]].toFixed(1)} mm${across === 0 ? "; left is left" : "; front is right"}`;
    }
  };

  // The place under the cursor, in words.
  const number = (value) => (isNaN(value) ? "no value" : value.toFixed(3).replace("-", "\u2212"));
  const tell = (place) => {
    state.k = place ? place.key : "";
    if (!place) { $("where").textContent = "Move over the brain, or use the arrow keys on it."; $("values").replaceChildren(); return; }
    const { i, part } = place;
    $("where").textContent = [place.name, ...places(i, part)].join(" \u00b7 ");
    $("where").dataset.index = i; $("where").dataset.part = part;
    const found = best(subject(), part);
    $("values").replaceChildren(...names.map((name, k) => {
      const item = document.createElement("li"), box = document.createElement("i"), figure = document.createElement("b");
      box.style.background = scene.spaces[k].color; figure.textContent = number(map(subject(), k, part)[i]);
      const mask = subject().passed && subject().passed[k] && subject().passed[k][part];
      item.append(box, `${name} `, figure, mask ? (bit(mask, i) ? " passed the test" : " did not pass") : "");
      item.dataset.space = name;
      return item;
    }));
    if (found) {
      const item = document.createElement("li");
      item.textContent = isNaN(found.lead[i]) ? "not tested here" : found.winner[i] < -1 ? "above chance, but no space is ahead here" : found.winner[i] < 0 ? "no space can be named here" : `ahead by the tests: ${names[found.winner[i]]}, lead ${number(found.lead[i])} in U`;
      $("values").append(item);
    }
  };
  const vertexPlace = (found) => {
    if (!found) return null;
    const halves = scene.geometries[subject().surface].halves, i = found.vertex + (found.half ? halves[0].n : 0);
    return { i, part: "surface", key: `${"LR"[found.half]}${found.vertex}`, name: `${found.half ? "right" : "left"} vertex ${found.vertex}` };
  };
  const voxelPlace = (voxel) => {
    const g = grid(), i = g.of[flatIndex(g, voxel)];
    return i < 0 ? null : { i, part: "volume", key: voxel.join(","), name: `voxel at ${voxel.map((v, k) => g.mm[k][v].toFixed(1)).join(", ")} mm` };
  };
  const restore = () => {
    const [, side, vertex] = /^([LR])(\d+)$/.exec(state.k) || [], voxel = /^\d+,\d+,\d+$/.test(state.k) && state.k.split(",").map(Number);
    if (side && subject().surface !== null && vertex < scene.geometries[subject().surface].halves[side === "R" ? 1 : 0].n) return tell(vertexPlace({ half: side === "R" ? 1 : 0, vertex: Number(vertex) }));
    if (voxel && subject().volume !== null && voxel.every((v, k) => v < grid().shape[k])) { cross = voxel; return tell(voxelPlace(voxel)); }
    tell(null);
  };

  // Keys and notes.
  const key = () => {
    const bar = $("bar"), pen = bar.getContext("2d"), square = state.m === "two";
    $("key-best").hidden = state.m !== "best"; bar.hidden = state.m === "best";
    bar.width = square ? 72 : 256; bar.height = square ? 72 : 14;
    const image = new ImageData(bar.width, bar.height), top = scene.scale.vmax, ground = [0.863, 0.863, 0.863];
    for (let y = 0; y < bar.height; y++) for (let x = 0; x < bar.width; x++) {
      const color = paint(((x + 0.5) / bar.width) * top, square ? (1 - (y + 0.5) / bar.height) * top : 0, -1, true, ground);
      image.data.set([...color.map((c) => Math.round(255 * c)), 255], 4 * (y * bar.width + x));
    }
    if (state.m !== "best") pen.putImageData(image, 0, 0);
    bar.setAttribute("aria-label", square ? `Square of colours: ${names[state.a]} to the right, ${names[state.b]} upwards, 0 to ${top}` : `Colours from 0 to ${top}`);
    $("key-text").textContent = square ? `right: ${names[state.a]}, up: ${names[state.b]}; both 0 to ${top} (${scene.label})` : state.m === "one" ? `0 to ${top}: ${scene.label}; at or below 0: not coloured` : `pale: small lead; full colour from a lead of ${scene.lead} in U; grey violet: above chance, no space ahead; not coloured: no space can be named`;
    const own = state.t !== start.t;
    $("note").textContent = state.m === "best" ? (subject().best ? `${scene.notes.best}${state.t > 0 ? ` Leads below ${state.t.toFixed(3)} are left out by your choice.` : ""}` : scene.notes.nobest)
      : own && state.t > 0 ? `Faded below ${state.t.toFixed(3)}: your choice, not a test.` : state.m === "two" ? "Two descriptions side by side; not a test of which is ahead." : !subject().maps ? scene.notes.mean : state.p ? scene.notes.one : "Nothing is faded by a test.";
  };
  const refresh = (again = true) => {
    if (again) {
      const one = subject();
      $("subject").value = state.s; $("space").value = state.a; $("second").value = state.b; $("view").value = state.v;
      for (const radio of document.querySelectorAll("[name=mode]")) radio.checked = radio.value === state.m;
      $("second").disabled = state.m !== "two"; $("space").disabled = state.m === "best";
      $("outlines").checked = Boolean(state.o); $("outlines").disabled = !(one.atlases || []).length;
      $("passed").checked = Boolean(state.p); $("passed").disabled = !one.passed || state.m !== "one";
      $("threshold").max = limit(); $("threshold").step = limit() / 200; $("threshold").value = state.t;
      $("threshold-text").textContent = state.t > 0 ? state.t.toFixed(3) : "off";
      $("view").disabled = one.surface === null;
      $("halves").hidden = one.surface === null; $("slices").hidden = one.volume === null;
      if (one.surface !== null) surfaceTextures();
      key(); restore();
    }
    if (subject().surface !== null) drawSurface();
    if (subject().volume !== null) drawSlices();
    write();
  };
  const change = (name, value) => { state[name] = value; if (name === "m") state.t = value === "best" ? 0 : start.t; refresh(); };

  const options = (id, list) => $(id).replaceChildren(...list.map(([value, text]) => new Option(text, value)));
  options("subject", scene.subjects.map((one, i) => [i, one.name]));
  options("space", names.map((name, i) => [i, name])); options("second", names.map((name, i) => [i, name]));
  options("view", Object.entries(scene.views).map(([id, view]) => [id, view.title]));
  $("key-best").replaceChildren(...scene.single.map((k) => { const item = document.createElement("li"), box = document.createElement("i"); box.style.background = scene.spaces[k].color; item.append(box, names[k]); return item; }));
  for (const [id, name, get] of [["subject", "s", Number], ["space", "a", Number], ["second", "b", Number], ["view", "v", String]]) $(id).addEventListener("change", () => { if (id === "view") state.y = state.z = 0; change(name, get($(id).value)); });
  for (const [id, name] of [["outlines", "o"], ["passed", "p"]]) $(id).addEventListener("change", () => change(name, Number($(id).checked)));
  for (const radio of document.querySelectorAll("[name=mode]")) radio.addEventListener("change", () => change("m", radio.value));
  $("threshold").addEventListener("input", () => change("t", Number($("threshold").value)));

  let drag = null, cursor = null;
  const place = (event, target) => { const box = target.getBoundingClientRect(); return [event.clientX - box.x, event.clientY - box.y]; };
  canvas.addEventListener("pointerdown", (event) => { drag = [event.clientX, event.clientY, state.y, state.z]; canvas.setPointerCapture(event.pointerId); });
  canvas.addEventListener("pointerup", () => { drag = null; });
  canvas.addEventListener("pointermove", (event) => {
    if (drag && scene.views[state.v].shape !== "flat" && Math.hypot(event.clientX - drag[0], event.clientY - drag[1]) > 3) {
      state.y = drag[2] - (event.clientX - drag[0]) / 2; state.z = drag[3] - (event.clientY - drag[1]) / 2;
      return requestAnimationFrame(() => refresh(false));
    }
    cursor = place(event, canvas);
    tell(vertexPlace(vertexAt(...cursor))); write();
  });
  canvas.addEventListener("dblclick", () => { state.y = state.z = 0; refresh(false); });
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    const step = ARROWS[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (event.shiftKey) { state.y -= 10 * step[0]; state.z -= 10 * step[1]; return refresh(false); }
    cursor = cursor || [panels[0].x + panels[0].w / 2, panels[0].h / 2];
    cursor = cursor.map((c, k) => Math.min(Math.max(c + 6 * step[k], 0), [canvas.clientWidth, canvas.clientHeight][k] - 1));
    $("spot").style.left = `${cursor[0]}px`; $("spot").style.top = `${cursor[1]}px`; $("spot").hidden = false;
    tell(vertexPlace(vertexAt(...cursor))); write();
  });
  canvas.addEventListener("blur", () => { $("spot").hidden = true; });
  for (const [name, axis, across, up] of PLANES) {
    const at = (event) => {
      const g = grid(), box = $(name).getBoundingClientRect(), voxel = [...cross];
      voxel[across] = Math.min(Math.max(Math.floor(((event.clientX - box.x) / box.width) * g.shape[across]), 0), g.shape[across] - 1);
      voxel[up] = Math.min(Math.max(Math.floor((1 - (event.clientY - box.y) / box.height) * g.shape[up]), 0), g.shape[up] - 1);
      return voxel;
    };
    $(name).addEventListener("pointermove", (event) => { tell(voxelPlace(at(event))); write(); });
    $(name).addEventListener("click", (event) => { cross = at(event); tell(voxelPlace(cross)); refresh(false); });
    $(name).addEventListener("keydown", (event) => {
      const step = ARROWS[event.key] || { PageUp: [0, 0, 1], PageDown: [0, 0, -1] }[event.key];
      if (!step) return;
      event.preventDefault();
      [[across, step[0]], [up, -step[1]], [axis, step[2] || 0]].forEach(([k, by]) => { cross[k] = Math.min(Math.max(cross[k] + by, 0), grid().shape[k] - 1); });
      tell(voxelPlace(cross)); refresh(false);
    });
  }
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest?.("select, input")) return;
    const next = (name, count, by) => change(name, (state[name] + by + count) % count);
    const views = Object.keys(scene.views), modes = ["one", "two", "best"];
    const act = {
      n: () => next("s", scene.subjects.length, 1), N: () => next("s", scene.subjects.length, -1), f: () => next("a", names.length, 1), g: () => next("b", names.length, 1),
      m: () => change("m", modes[(modes.indexOf(state.m) + 1) % 3]), v: () => { state.y = state.z = 0; change("v", views[(views.indexOf(state.v) + 1) % views.length]); },
      o: () => change("o", 1 - state.o), "+": () => change("t", Math.min(state.t + limit() / 20, limit())), "-": () => change("t", Math.max(state.t - limit() / 20, 0)), r: () => { address("#"); read(); refresh(); },
    }[event.key];
    if (act) { event.preventDefault(); act(); }
  });
  addEventListener("hashchange", () => { read(); refresh(); });
  new ResizeObserver(() => subject().surface !== null && drawSurface()).observe($("halves"));
  read();
  try { refresh(); } catch (error) { if (!wanted) throw error; console.warn(error.message); return pictures("The graphics card refused the maps: pictures instead."); }
  document.body.dataset.ready = "true";
})();
