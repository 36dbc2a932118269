/** Detail of `avatar-event`: the events of docs/control.md. */
export type ControlEvent =
  | { type: "hello"; version: 1; can: string[] }
  | { type: "state"; state: "idle" | "listening" | "thinking" | "speaking"; paused: boolean; muted: boolean }
  | { type: "caption"; of: "face" | "person"; text: string; final: boolean; interrupted: boolean }
  | { type: "agent"; connected: boolean; message: string }
  | { type: "started"; speech: number }
  | { type: "played"; speech: number; position_ms: number; final: boolean; interrupted: boolean }
  | { type: "idle" }
  | {
      type: "statistics";
      pictures: number;
      repeated: number;
      late: number;
      delay_ms: number;
      left_out: string | null;
      speech_waiting_ms: number;
    }
  | { type: "error"; message: string };

/** Messages that `control` accepts. */
export type ControlMessage =
  | { type: "energy"; value: number }
  | { type: "emotion"; value: "auto" | "neutral" | "happy" | "sad" | "angry" | "surprised" | "calm"; intensity?: number }
  | { type: "gaze"; at: [number, number] | "camera" | "free" }
  | { type: "gesture"; name: "nod" | "shake" | "smile" | "brows" | "ponder"; strength?: number }
  | { type: "pause" | "mute" | "listening"; on: boolean }
  | { type: "background"; value: string | null }
  | { type: "avatar"; name: string }
  | { type: "size"; value: number | null }
  | { type: "interrupt" };

export type AvatarState = "idle" | "connecting" | "waiting" | "live" | "lost" | "failed";

/** Report on the call, every second. */
export interface Report {
  /** Time from a sample's arrival at the server to its sending with its picture. */
  delay_ms: number;
  /** Delay added by the network and the browser's jitter buffer. */
  network_ms: number;
  pictures_per_second: number;
  /** Description of what the server leaves out because it is overloaded. */
  left_out: string | null;
}

/** A frame of a face that is sent as numbers instead of pictures (attribute `numbers`): docs/numbers.md. */
export interface NumbersFrame {
  time_ms: number;
  /** ARKit's 52 units, 0 to 1. */
  blendshapes: Record<string, number>;
  head: { pitch: number; yaw: number; roll: number; tx: number; ty: number; tz: number };
}

export interface MicrophoneState {
  open: boolean;
  muted: boolean;
  /** "silent": nothing was heard for five seconds. "held": another program uses it. */
  problem: "silent" | "held" | null;
}

export interface AvatarViewEventMap {
  /** `message`: the state in words, such as the place in line. */
  "avatar-state": CustomEvent<{ state: AvatarState; message: string }>;
  "avatar-event": CustomEvent<ControlEvent>;
  "avatar-error": CustomEvent<{ message: string }>;
  "avatar-report": CustomEvent<Report>;
  "avatar-microphone": CustomEvent<MicrophoneState>;
  "avatar-numbers": CustomEvent<NumbersFrame>;
  /** The browser blocks sound until the visitor clicks. */
  "avatar-blocked": CustomEvent<Record<string, never>>;
}

export class AvatarView extends HTMLElement {
  readonly state: AvatarState;
  /** Whether a call is open or being attempted. */
  readonly active: boolean;
  readonly session: string | null;
  readonly video: HTMLVideoElement;
  /** The canvas on which a face with `background="transparent"` is drawn. */
  readonly canvas: HTMLCanvasElement;
  /** Level of the microphone, 0 to 1. */
  readonly level: number;
  microphoneMuted: boolean;
  microphones(): Promise<{ id: string; name: string }[]>;
  start(options?: { microphone?: string }): Promise<void>;
  stop(): void;
  play(sound: ArrayBuffer | Blob): Promise<void>;
  stopPlaying(): void;
  lastMinute(): Promise<File | null>;
  say(text: string, options?: { language?: string; interrupt?: boolean }): Promise<number | null>;
  interrupt(): Promise<number>;
  control(message: ControlMessage): void;
  addEventListener<K extends keyof AvatarViewEventMap>(
    type: K,
    listener: (event: AvatarViewEventMap[K]) => void,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    type: string,
    listener: EventListenerOrEventListenerObject,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

declare global {
  interface HTMLElementTagNameMap {
    "avatar-view": AvatarView;
  }
}
