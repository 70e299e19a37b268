// Paths, cameras and clouds in three dimensions, drawn by three.js when something changes and not otherwise.
(() => {
  "use strict";
  const viewer = document.querySelector(".viewer");
  const canvas = viewer.querySelector("canvas");
  const state = viewer.querySelector(".state");
  const bar = viewer.querySelector(".controls");
  const scenes = JSON.parse(document.getElementById("scenes").textContent);

  let renderer;
  try {
    // A printer takes what stands in the canvas, long after it was drawn.
    renderer = new THREE.WebGLRenderer({ canvas, antialias: true, preserveDrawingBuffer: true });
  } catch {
    state.textContent = "This browser has no WebGL, so there is no picture; the numbers are below.";
    return;
  }
  // Colours are those of the style sheet and of the pictures, and no light falls on them.
  THREE.ColorManagement.enabled = false;
  renderer.outputColorSpace = "srgb-linear";

  const bytes = (words) => Uint8Array.from(atob(words), (letter) => letter.charCodeAt(0));
  const floats = (words) => new Float32Array(bytes(words).buffer);
  const shorts = (words) => new Uint16Array(bytes(words).buffer);
  const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const colourOf = (line) => new THREE.Color(css(line.colour < 0 ? "--truth" : `--s${line.colour % 8}`));
  const vector = (values) => new THREE.Vector3(...values);

  // ---- numbers as colours: viridis, even in lightness and told apart by the colour-blind
  const STOPS = [[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]];
  const ramp = (share) => {
    const at = Math.min(0.9999, share) * (STOPS.length - 1);
    const [low, high] = [STOPS[Math.floor(at)], STOPS[Math.floor(at) + 1]];
    return low.map((value, index) => value + (at % 1) * (high[index] - value));
  };
  const TABLE = Array.from({ length: 256 }, (_, index) => ramp(index / 255));
  const paint = (values, low, high) => {
    const colours = new Uint8Array(3 * values.length);
    const scale = high > low ? 255 / (high - low) : 0;
    for (let i = 0; i < values.length; i++) {
      colours.set(TABLE[Math.min(255, Math.max(0, Math.round((values[i] - low) * scale)))], 3 * i);
    }
    return colours;
  };

  const POINT = {
    vertexShader: `
      attribute vec3 shade; varying vec3 colour; uniform float size;
      void main() {
        colour = shade; gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0); gl_PointSize = size;
      }`,
    fragmentShader: "varying vec3 colour; void main() { gl_FragColor = vec4(colour, 1.0); }",
  };

  // ---- drawing
  const world = new THREE.Scene();
  const camera = new THREE.PerspectiveCamera(45, 1, 0.01, 1000);
  const ratio = () => Math.min(devicePixelRatio, 2);
  let controls = null;
  let isWanted = false;
  const draw = () => {
    if (isWanted) return;
    isWanted = true;
    requestAnimationFrame(() => { isWanted = false; drawNow(); });
  };
  // While the view moves, a machine without a graphics card draws as many points as it can in time. They come in
  // no order, so that the first of them are a fair part; all of them are drawn once the view rests.
  let share = 1;
  let last = 0;
  let rest = 0;
  const drawMoving = () => {
    const now = performance.now();
    const took = now - last;
    if (took < 4000) share = Math.min(1, Math.max(0.03, share * (took > 60 ? 0.6 : took < 25 ? 1.25 : 1)));
    last = now;
    showPoints(share);
    draw();
    clearTimeout(rest);
    rest = setTimeout(() => { showPoints(1); draw(); }, 250);
  };
  const showPoints = (part) => parts.cloud?.geometry.setDrawRange(0, Math.ceil(part * scene.cloud.count));
  const drawNow = () => {
    const [width, height] = [canvas.clientWidth, canvas.clientHeight];
    if (!width || !height) return;
    if (canvas.width !== Math.floor(width * ratio()) || canvas.height !== Math.floor(height * ratio())) {
      renderer.setPixelRatio(ratio());
      renderer.setSize(width, height, false);
      camera.aspect = width / height;
      camera.updateProjectionMatrix();
    }
    renderer.setClearColor(new THREE.Color(css("--raised")));
    renderer.render(world, camera);
    viewer.dataset.drawn = String(Number(viewer.dataset.drawn || 0) + 1);
  };
  // OrbitControls learns where up is when it is made.
  const orbit = () => {
    controls?.dispose();
    controls = new THREE.OrbitControls(camera, canvas);
    controls.zoomToCursor = true;
    // The wheel is the page's, unless one has turned to the picture.
    controls.enableZoom = document.activeElement === canvas;
    controls.addEventListener("change", drawMoving);
  };
  canvas.addEventListener("pointerdown", () => canvas.focus({ preventScroll: true }));
  canvas.addEventListener("focus", () => { controls.enableZoom = true; });
  canvas.addEventListener("blur", () => { controls.enableZoom = false; });

  // ---- one scene
  let scene;
  let parts;
  let mode;
  let size = 2;
  const build = (chosen) => {
    scene = chosen;
    for (const object of world.children) { object.geometry.dispose(); object.material.dispose(); }
    world.clear();
    parts = { lines: scene.lines.map(addLine), cameras: null, cloud: null };
    if (scene.frusta) addCameras();
    if (scene.cloud) addCloud();
    mode = scene.cloud && !scene.cloud.colours ? "height" : "colour";
    buildBar();
    recolour();
    reset();
  };
  const add = (object, order) => {
    object.frustumCulled = false;
    object.renderOrder = order;
    world.add(object);
    return object;
  };

  const addLine = (line) => {
    const points = floats(line.points);
    const geometry = new THREE.LineGeometry();
    geometry.setPositions(points.length > 3 ? points : [...points, ...points]);
    const isTruth = line.role === "truth";
    // Where both are at one place, the estimate is seen upon the truth.
    const material = new THREE.LineMaterial({ depthWrite: !isTruth });
    const object = add(new THREE.Line2(geometry, material), isTruth ? 1 : 2);
    return { line, object, points, errors: line.errors ? floats(line.errors) : null };
  };

  const addCameras = () => {
    const numbers = floats(scene.frusta.numbers);
    const whole = box(parts.lines.map((one) => one.points), 1);
    const reach = 0.035 * Math.hypot(...whole.high.map((value, k) => value - whole.low[k])) || 0.05;
    const corners = [[-1, -0.75], [1, -0.75], [1, 0.75], [-1, 0.75]];
    const edges = [];
    for (let i = 0; i < numbers.length; i += 12) {
      const [centre, right, down, ahead] = [0, 3, 6, 9].map((from) => numbers.slice(i + from, i + from + 3));
      const end = ([x, y]) => [0, 1, 2].map((k) => centre[k] + reach * (0.6 * (x * right[k] + y * down[k]) + ahead[k]));
      const ends = corners.map(end);
      ends.forEach((one, k) => edges.push(...centre, ...one, ...one, ...ends[(k + 1) % 4]));
    }
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(new Float32Array(edges), 3));
    const material = new THREE.LineBasicMaterial({ transparent: true, opacity: 0.6 });
    parts.cameras = add(new THREE.LineSegments(geometry, material), 3);
  };

  const addCloud = () => {
    const { cloud } = scene;
    cloud.units = shorts(cloud.points);
    const geometry = new THREE.BufferGeometry();
    geometry.setAttribute("position", new THREE.BufferAttribute(cloud.units, 3));
    geometry.setAttribute("shade", new THREE.BufferAttribute(new Uint8Array(cloud.units.length), 3, true));
    const material = new THREE.ShaderMaterial({ ...POINT, uniforms: { size: { value: size * ratio() } } });
    parts.cloud = add(new THREE.Points(geometry, material), 0);
    parts.cloud.matrixAutoUpdate = false;
    parts.cloud.matrix.fromArray(cloud.matrix);
  };

  // The bulk of many points: a few far out must not make everything else small.
  const box = (lists, share) => {
    const low = [];
    const high = [];
    for (let k = 0; k < 3; k++) {
      const values = [];
      for (const points of lists) {
        const step = 3 * Math.max(1, Math.floor(points.length / 60000));
        for (let i = k; i < points.length; i += step) values.push(points[i]);
      }
      values.sort((a, b) => a - b);
      const outer = Math.floor((values.length * (1 - share)) / 2);
      low.push(values[outer] ?? 0);
      high.push(values[values.length - 1 - outer] ?? 0);
    }
    return { low, high };
  };

  const cloudPlaces = () => {
    const { matrix: m, units } = scene.cloud;
    const places = new Float32Array(units.length);
    for (let i = 0; i < units.length; i += 3) {
      for (let k = 0; k < 3; k++) {
        places[i + k] = m[k] * units[i] + m[4 + k] * units[i + 1] + m[8 + k] * units[i + 2] + m[12 + k];
      }
    }
    return places;
  };

  // From behind the cameras, a little aside and above, all in sight.
  const reset = () => {
    const lists = parts.lines.map((one) => one.points);
    const boxes = lists.length ? [box(lists, 1)] : [];
    if (parts.cloud) boxes.push(box([cloudPlaces()], 0.9));
    const low = boxes.map((one) => vector(one.low)).reduce((a, b) => a.min(b));
    const high = boxes.map((one) => vector(one.high)).reduce((a, b) => a.max(b));
    const centre = low.clone().add(high).multiplyScalar(0.5);
    const radius = Math.max(high.distanceTo(low) / 2, 1e-6);
    const up = vector(scene.up).normalize();
    const level = (direction) => direction.addScaledVector(up, -direction.dot(up));
    let ahead = level(vector(scene.ahead ?? [0.6, 1, 0.2]));
    if (ahead.length() < 0.1) ahead = level(new THREE.Vector3(up.y, up.z, up.x));
    ahead.normalize();
    ahead.addScaledVector(new THREE.Vector3().crossVectors(ahead, up), 0.4).normalize();
    const narrow = Math.min(1, (canvas.clientWidth || 4) / (canvas.clientHeight || 3));
    const away = (0.88 * radius) / Math.sin((camera.fov / 2) * (Math.PI / 180)) / narrow;
    camera.up.copy(up);
    camera.position.copy(centre).addScaledVector(ahead, -0.88 * away).addScaledVector(up, 0.47 * away);
    camera.near = away / 500;
    camera.far = away * 40;
    camera.updateProjectionMatrix();
    orbit();
    controls.target.copy(centre);
    controls.update();
    draw();
  };

  // ---- colours
  const withErrors = () => parts.lines.filter((one) => one.errors);
  const heights = () => {
    const places = cloudPlaces();
    const values = new Float32Array(places.length / 3);
    for (let i = 0; i < values.length; i++) for (let k = 0; k < 3; k++) values[i] += places[3 * i + k] * scene.up[k];
    const every = Math.max(1, Math.floor(values.length / 5000));
    const sorted = values.filter((_, i) => i % every === 0).sort();
    const at = (share) => sorted[Math.floor(share * (sorted.length - 1))];
    return { values, low: at(0.02), high: at(0.98), range: [0, at(0.98) - at(0.02)] };
  };
  const cloudErrors = () => {
    const { cloud } = scene;
    if (cloud.errors) return { values: shorts(cloud.errors), low: 0, high: 65535, range: cloud.errorRange };
    // The error of the camera that is nearest to a point.
    const { points, errors, line } = withErrors()[0];
    const every = Math.max(1, Math.floor(errors.length / 250));
    const near = [];
    for (let i = 0; i < errors.length; i += every) if (errors[i] >= 0) near.push([...points.slice(3 * i, 3 * i + 3), errors[i]]);
    const places = cloudPlaces();
    const values = new Float32Array(places.length / 3);
    for (let i = 0; i < values.length; i++) {
      let best = Infinity;
      for (const [x, y, z, error] of near) {
        const apart = (places[3 * i] - x) ** 2 + (places[3 * i + 1] - y) ** 2 + (places[3 * i + 2] - z) ** 2;
        if (apart < best) { best = apart; values[i] = error; }
      }
    }
    return { values, low: 0, high: line.worst, range: [0, line.worst] };
  };
  const recolour = () => {
    const worst = mode === "error" && withErrors().length ? Math.max(...withErrors().map((one) => one.line.worst)) : null;
    for (const { line, object, points, errors } of parts.lines) {
      const isPainted = worst !== null && errors !== null;
      if (isPainted) {
        const colours = Array.from(paint(errors, 0, worst), (value) => value / 255);
        object.geometry.setColors(points.length > 3 ? colours : [...colours, ...colours]);
      }
      const { material } = object;
      material.vertexColors = isPainted;
      material.color = isPainted ? new THREE.Color(1, 1, 1) : colourOf(line);
      material.linewidth = line.role === "truth" ? 6 : isPainted ? 4 : 2.5;
      material.needsUpdate = true;
    }
    if (parts.cameras) parts.cameras.material.color = new THREE.Color(css("--s0"));
    let range = worst === null ? null : [0, worst];
    if (parts.cloud) {
      const { cloud } = scene;
      const found = mode === "height" ? heights() : mode === "error" ? cloudErrors() : null;
      const shade = parts.cloud.geometry.getAttribute("shade");
      shade.array.set(found ? paint(found.values, found.low, found.high) : bytes(cloud.colours));
      shade.needsUpdate = true;
      range = found ? found.range : null;
    }
    showRamp(range);
    draw();
  };

  // ---- controls
  const make = (tag, words, values = {}) => Object.assign(document.createElement(tag), { textContent: words }, values);
  const labelled = (words, field, colour) => {
    const label = make("label", "");
    label.append(field);
    if (colour) label.append(make("i", "", { className: `swatch ${colour}` }));
    label.append(words);
    return label;
  };
  const choice = (name, options, chosen, on) => {
    const field = make("select", "", { name });
    for (const [value, words] of options) field.append(make("option", words, { value }));
    field.value = chosen;
    field.addEventListener("change", () => on(field.value));
    const label = make("label", name);
    label.append(field);
    return label;
  };
  const toggle = (words, object, colour) => {
    const field = make("input", "", { type: "checkbox", checked: true });
    field.addEventListener("change", () => { object.visible = field.checked; draw(); });
    return labelled(words, field, colour);
  };
  const rampBox = make("span", "", { className: "ramp", hidden: true });
  const showRamp = (range) => {
    rampBox.hidden = !range;
    if (!range) return;
    const strip = make("canvas", "", { width: 256, height: 1 });
    const context = strip.getContext("2d");
    TABLE.forEach((colour, i) => { context.fillStyle = `rgb(${colour.map(Math.round)})`; context.fillRect(i, 0, 1, 1); });
    const [low, high] = range.map((value) => String(Number(value.toPrecision(3))));
    const what = mode === "height" ? "height" : scene.cloud?.errorName || (scene.cloud ? "error of the nearest pose" : "error");
    rampBox.replaceChildren(...[what, low, strip, high].map((one) => (one === strip ? one : make("span", one))));
  };
  const buildBar = () => {
    bar.replaceChildren();
    if (scenes.length > 1) {
      const names = scenes.map((one, place) => [String(place), one.name]);
      bar.append(choice("Scene", names, String(scenes.indexOf(scene)), (place) => {
        build(scenes[place]);
        bar.querySelector("select").focus();
      }));
    }
    const modes = [];
    if (scene.cloud?.colours || !scene.cloud) modes.push(["colour", "colour"]);
    if (scene.cloud) modes.push(["height", "height"]);
    if (scene.cloud?.errors || withErrors().length) modes.push(["error", "error"]);
    if (modes.length > 1) bar.append(choice("Colour by", modes, mode, (value) => { mode = value; recolour(); }));
    bar.append(rampBox);
    for (const { line, object } of parts.lines) {
      bar.append(toggle(line.name, object, line.colour < 0 ? "truth" : `s${line.colour % 8}`));
    }
    if (parts.cameras) bar.append(toggle(scene.frusta.name, parts.cameras));
    if (parts.cloud) {
      bar.append(toggle("cloud", parts.cloud));
      const field = make("input", "", { type: "range", min: 1, max: 8, step: 0.5, value: size });
      field.addEventListener("input", () => {
        size = Number(field.value);
        parts.cloud.material.uniforms.size.value = size * ratio();
        draw();
      });
      const label = make("label", "Point size");
      label.append(field);
      bar.append(label);
    }
    const again = make("button", "Reset view", { type: "button" });
    again.addEventListener("click", reset);
    bar.append(again);
  };

  // ---- keys
  const turn = (across, upward) => {
    const up = camera.up.clone().normalize();
    const arm = camera.position.clone().sub(controls.target);
    arm.applyQuaternion(new THREE.Quaternion().setFromAxisAngle(up, across));
    const side = new THREE.Vector3().crossVectors(up, arm).normalize();
    const tilted = arm.clone().applyQuaternion(new THREE.Quaternion().setFromAxisAngle(side, -upward));
    const isOverhead = Math.abs(tilted.clone().normalize().dot(up)) > 0.995;
    camera.position.copy(controls.target).add(isOverhead ? arm : tilted);
  };
  const zoom = (by) => camera.position.sub(controls.target).multiplyScalar(by).add(controls.target);
  const move = (right, upward) => {
    const reach = 0.05 * camera.position.distanceTo(controls.target);
    const step = new THREE.Vector3(right * reach, upward * reach, 0).applyQuaternion(camera.quaternion);
    camera.position.add(step);
    controls.target.add(step);
  };
  const KEYS = {
    ArrowLeft: () => turn(-0.1, 0), ArrowRight: () => turn(0.1, 0), ArrowUp: () => turn(0, 0.08), ArrowDown: () => turn(0, -0.08),
    "+": () => zoom(0.87), "=": () => zoom(0.87), "-": () => zoom(1.15), _: () => zoom(1.15),
    a: () => move(-1, 0), d: () => move(1, 0), w: () => move(0, 1), s: () => move(0, -1),
    r: reset, Home: reset,
  };
  canvas.addEventListener("keydown", (event) => {
    const act = KEYS[event.key.length === 1 ? event.key.toLowerCase() : event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    act();
    controls.update();
  });

  canvas.addEventListener("webglcontextlost", () => {
    state.textContent = "The picture was lost; load the page again.";
    state.hidden = false;
  });
  new ResizeObserver(draw).observe(canvas);
  for (const query of ["(prefers-color-scheme: dark)", "print"]) {
    matchMedia(query).addEventListener("change", () => { recolour(); drawNow(); });
  }
  for (const moment of ["beforeprint", "afterprint"]) addEventListener(moment, () => { recolour(); drawNow(); });
  build(scenes[0]);
  state.hidden = true;
})();
