/** Pointer, wheel and pinch on a drawing over time. */

const MOVED = 4; // pixels from which a press is no longer a tap

/** What gestures do; times are positions in the recording, in seconds. */
export interface Gestures {
  timeAt(clientX: number): number;
  isZoomed(): boolean;
  /** Zoom by a factor (below 1: closer), around a time that stays where it is. */
  zoom(factor: number, around_s: number): void;
  pan(by_s: number): void;
  tap(at_s: number): void;
  /** The mouse is over a time; null: it has left. */
  hover(at_s: number | null): void;
}

/** Watch an element: dragging pans, two fingers or Ctrl and the wheel zoom. */
export function onGestures(place: HTMLElement, to: Gestures): void {
  const pressed = new Map<number, number>(); // x of each finger
  let hasMoved = false;

  const apart = () => {
    const [a, b] = [...pressed.values()];
    return Math.max(20, Math.abs(a - b));
  };
  place.addEventListener("pointerdown", ({ pointerId, clientX, button }) => {
    if (button > 0) return;
    if (pressed.size === 0) hasMoved = false;
    pressed.set(pointerId, clientX);
    place.setPointerCapture(pointerId);
  });
  place.addEventListener("pointermove", ({ pointerId, clientX, pointerType }) => {
    const before = pressed.get(pointerId);
    if (before === undefined) {
      if (pointerType === "mouse") to.hover(to.timeAt(clientX));
      return;
    }
    if (!hasMoved && Math.abs(clientX - before) < MOVED) return;
    hasMoved = true;
    const distance = pressed.size > 1 ? apart() : null;
    pressed.set(pointerId, clientX);
    if (distance !== null) {
      const [a, b] = [...pressed.values()];
      to.zoom(distance / apart(), to.timeAt((a + b) / 2));
    } else if (to.isZoomed()) to.pan(to.timeAt(before) - to.timeAt(clientX));
  });
  place.addEventListener("pointerup", ({ pointerId, clientX }) => {
    if (pressed.delete(pointerId) && !hasMoved && pressed.size === 0)
      to.tap(to.timeAt(clientX));
  });
  place.addEventListener("pointercancel", ({ pointerId }) => pressed.delete(pointerId));
  place.addEventListener("pointerleave", ({ pointerId }) => {
    pressed.delete(pointerId);
    to.hover(null);
  });
  place.addEventListener(
    "wheel",
    (event) => {
      const { deltaX, deltaY, clientX } = event;
      const isZoom = event.ctrlKey || event.metaKey;
      const isSideways = event.shiftKey || Math.abs(deltaX) > Math.abs(deltaY);
      if (isZoom) to.zoom(Math.exp(deltaY / 200), to.timeAt(clientX));
      else if (isSideways && to.isZoomed()) {
        const by = Math.abs(deltaX) > Math.abs(deltaY) ? deltaX : deltaY;
        to.pan(to.timeAt(clientX + by) - to.timeAt(clientX));
      } else return; // the page scrolls
      event.preventDefault();
    },
    { passive: false },
  );
}
