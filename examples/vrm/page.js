// A VRM model moved by the numbers of an avatar server: the units of the face and the head's pose, with their sound.
//
//   avatar serve --allow-origin http://localhost:8000
//   npm install && python -m http.server 8000 --bind localhost
//   http://localhost:8000/?server=http://localhost:8080   (&model=URL of another VRM, &speech for pushed speech)

import * as THREE from "three";
import { GLTFLoader } from "three/addons/loaders/GLTFLoader.js";
import { VRMLoaderPlugin } from "@pixiv/three-vrm";

const asked = new URLSearchParams(window.location.search);
const server = asked.get("server") ?? "http://localhost:8080";
const NECK = 0.4; // of the turn, which neck and head share
const RADIANS = Math.PI / 180;

const element = (id) => document.getElementById(id);

await import(new URL("avatar-view.js", server.endsWith("/") ? server : `${server}/`).href);
const view = Object.assign(document.createElement("avatar-view"), { hidden: true });
view.setAttribute("server", server);
view.setAttribute("numbers", "60");
if (asked.has("speech")) view.setAttribute("speech", "");
document.body.append(view);

const canvas = element("stage");
const renderer = new THREE.WebGLRenderer({ canvas, antialias: true });
const scene = new THREE.Scene();
scene.background = new THREE.Color(0x2a333d);
const key = new THREE.DirectionalLight(0xfff3e6, 2.2);
key.position.set(0.6, 1.2, 2);
scene.add(key, new THREE.HemisphereLight(0xdfe8ff, 0x3a3330, 1.6));
const camera = new THREE.PerspectiveCamera(22, 1, 0.1, 10);

const loader = new GLTFLoader();
loader.register((parser) => new VRMLoaderPlugin(parser));
const { vrm } = (await loader.loadAsync(asked.get("model") ?? "head.vrm")).userData;
scene.add(vrm.scene);
vrm.scene.updateMatrixWorld(true);
const face = vrm.humanoid.getRawBoneNode("head").getWorldPosition(new THREE.Vector3());
camera.position.set(0, face.y + 0.1, 0.95);
camera.lookAt(0, face.y + 0.09, 0);

/** Let the model do what the server says: a unit by its name, and the head's turn, shared with the neck. */
function follow({ blendshapes, head }) {
  for (const [unit, value] of Object.entries(blendshapes)) vrm.expressionManager.setValue(unit, value);
  for (const [bone, share] of [["neck", NECK], ["head", 1 - NECK]]) {
    const turn = vrm.humanoid.getNormalizedBoneNode(bone)?.rotation;
    turn?.set(head.pitch * RADIANS * share, head.yaw * RADIANS * share, -head.roll * RADIANS * share, "YXZ");
  }
  document.body.dataset.jaw = Math.max(Number(document.body.dataset.jaw ?? 0), blendshapes.jawOpen);
}

view.addEventListener("avatar-numbers", ({ detail }) => follow(detail));
view.addEventListener("avatar-state", ({ detail }) => {
  document.body.dataset.state = detail.state;
  element("state").textContent = detail.message;
  element("start").textContent = view.active ? "Stop" : "Talk";
});
element("start").addEventListener("click", () => (view.active ? view.stop() : view.start()));

let before = 0;
renderer.setAnimationLoop((now) => {
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== width || canvas.height !== height) {
    renderer.setSize(width, height, false);
    camera.aspect = width / height;
    camera.updateProjectionMatrix();
  }
  vrm.update((now - before) / 1000);
  before = now;
  renderer.render(scene, camera);
});
document.body.dataset.ready = "";
