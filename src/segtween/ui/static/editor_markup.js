// What the editor of label images consists of.

export const TOOLS = [
  ["brush", "Brush", "b", "Paints while the button or the space bar is held"],
  ["eraser", "Eraser", "e", "Makes pixels unknown"],
  ["polygon", "Polygon", "p", "Click the corners, then the first one again"],
  ["region", "Region", "r", "Gives the class to all connected pixels of one label"],
  ["pick", "Pick class", "i", "Takes the class of the pixel"],
];
/** With more classes than these there is a field to find one by its name. */
export const CLASSES_TO_SEE = 12;
const MOST_SIZE = 200;

export const MARKUP = `
<div class="editor-tools">
  <div class="group" role="group" aria-label="Tool"></div>
  <label>Size <input type="range" class="size" min="1" max="${MOST_SIZE}" value="24"><output></output></label>
  <div class="group" role="group" aria-label="History">
    <button type="button" class="undo" title="Undo (Ctrl+Z)">Undo</button>
    <button type="button" class="redo" title="Redo (Ctrl+Y)">Redo</button>
  </div>
  <div class="group" role="group" aria-label="Zoom">
    <button type="button" class="zoom-out" aria-label="Zoom out" title="Zoom out (-)">\u2212</button>
    <button type="button" class="zoom-fit" title="Whole picture (0)">Fit</button>
    <button type="button" class="zoom-in" aria-label="Zoom in" title="Zoom in (+)">+</button>
  </div>
  <label>Tint <input type="range" class="alpha" min="0" max="100" value="55"></label>
</div>
<canvas class="editor-canvas" tabindex="0" role="application" aria-label="Labels of the frame"
  aria-describedby="editor-keys"></canvas>
<p class="editor-now" aria-live="polite"></p>
<input type="search" class="find" placeholder="Find a class" aria-label="Find a class; Enter takes the first" hidden>
<div class="editor-classes" role="group" aria-label="Class"></div>
<details class="editor-help"><summary>Keys</summary><p id="editor-keys">
In the picture: arrows move the cursor, with Shift ten times as far; hold the space bar and move to paint; Enter sets a
corner of a polygon or uses the tool once, Enter on the first corner closes it, Backspace takes the last corner back,
Escape drops it. B brush, E eraser, P polygon, R region, I pick class; [ and ] size; 1 to 9, comma and full
stop class, / finds one by name;
+ and - zoom, 0 whole picture; H hides the labels; Ctrl+Z undo, Ctrl+Y redo. With the mouse: the wheel zooms while the
picture has the focus, the right button moves it; two fingers do both.</p></details>`;
