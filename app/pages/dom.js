/** Elements. Whatever comes from a row or a name goes in as text: nothing here parses HTML. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element: attributes by name, `on` for listeners, then children (elements, texts, lists; null is left out).
 * @param {string} tag
 * @param {Object} [attributes]
 */
export function h(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for SVG. */
export function s(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** Put other children in the place of those that are there. */
export function replace(parent, ...children) {
  parent.replaceChildren(...flat(children));
  return parent;
}

/** A text whose parts between backticks are code, as the service's own sentences have them. */
export function sentence(text) {
  return text.split("`").map((part, index) => (index % 2 ? h("code", {}, part) : part));
}

/** Say something to those who hear the page. */
export function say(text) {
  document.getElementById("said").textContent = text;
}

let last = 0;

/** An id that no other element has. */
export function newId(word) {
  last += 1;
  return `${word}-${last}`;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    } else if (value === true) {
      element.setAttribute(name, "");
    } else if (value !== false && value !== null && value !== undefined) {
      element.setAttribute(name, value);
    }
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}
