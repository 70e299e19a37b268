// The parts of three.js that slipway/page/assets/scene.js uses; esbuild leaves out the others.
export {
  BufferAttribute,
  BufferGeometry,
  Color,
  ColorManagement,
  LineBasicMaterial,
  LineSegments,
  PerspectiveCamera,
  Points,
  Quaternion,
  Scene,
  ShaderMaterial,
  Vector3,
  WebGLRenderer,
} from "three";
export { OrbitControls } from "three/addons/controls/OrbitControls.js";
export { Line2 } from "three/addons/lines/Line2.js";
export { LineGeometry } from "three/addons/lines/LineGeometry.js";
export { LineMaterial } from "three/addons/lines/LineMaterial.js";
