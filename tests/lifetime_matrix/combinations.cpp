// SPDX-License-Identifier: BSD-3-Clause
// What is left out of the product, and why.
#include "combinations.hpp"

#include <cstddef>

namespace lifetimes {
namespace {

bool held_at_the_device(device d) {
  return d == device::delay_hours || d == device::error_short || d == device::error_holds;
}

bool stage_can_be_reached(const combination& c) {
  switch (c.stage) {
    case stage::submitted: return true;
    case stage::under_way:
      // The others are complete by then (delay_short perhaps).
      return held_at_the_device(c.device);
    case stage::starved:
      // An error device fails an I/O for which it finds no memory at its second try.
      if (c.device == device::error_short) return false;
      [[fallthrough]];
    case stage::queued:
      // The reset that ends it would wait for memory as well.
      return c.device != device::error_holds;
    case stage::completed:
      // Those that only a request or a reset completes are that in their other stages.
      return c.device != device::delay_hours && c.device != device::error_holds;
  }
  return false;
}

bool request_makes_sense(const combination& c) {
  // After nothing it would be no different.
  if (c.request == request::late_local && c.gone == gone::nothing) return false;
  // Its time is up before it gets that far.
  if (c.request == request::timeout && c.stage == stage::under_way) return false;
  if (c.request == request::timeout && c.device == device::delay_hours &&
      c.stage == stage::starved) {
    return false;
  }
  // Wrapped in what asks nothing: once, where it is destroyed.
  return !(c.victim == victim::wrapped_task && c.request == request::none &&
           c.ending == ending::completion);
}

bool gone_makes_sense(const combination& c) {
  switch (c.gone) {
    case gone::nothing: return true;
    case gone::channel:
    case gone::descriptor: return c.ending != ending::left_loop;
    case gone::descriptor_long:
      // Only while the I/O stays as it is, and has not been asked to stop.
      return c.ending != ending::left_loop &&
             (c.stage == stage::queued || c.device == device::delay_hours) &&
             (c.request == request::none || c.request == request::late_local);
    case gone::loop:
      // run_until() and the reactor are the first thread's loops already.
      return c.ending != ending::left_loop && (c.driver == driver::polled || c.io_on_second()) &&
             c.where != where::opened_by_second && c.where != where::second_alone;
    case gone::thread:
      // The first thread is the process's.
      return c.two_threads() && c.ending != ending::left_loop;
  }
  return false;
}

// Whether it ends at all: by itself, by a request, or by the reset.
bool ends(const combination& c) {
  if (c.device != device::delay_hours || c.stage == stage::queued) return true;
  // Its thread drains before anybody asks.
  if (c.gone == gone::thread && (c.request == request::none || c.request == request::late_local)) {
    return false;
  }
  // An opener that ends waits for the I/O of other threads without running what is ready there.
  if (c.gone == gone::thread && c.where == where::opened_by_second &&
      c.request == request::standard) {
    return false;
  }
  // The abort needs memory that only the owner of the zcopy buffers, who waits for this, could
  // give back.
  if (c.stage == stage::starved && (c.ending != ending::completion || c.gone == gone::thread)) {
    return false;
  }
  return c.ending != ending::completion || c.request != request::none;
}

// A queued I/O comes to the delay once there is memory, and is there for hours.
bool ends_once_served(const combination& c) {
  if (c.device != device::delay_hours || c.stage != stage::queued) return true;
  if (c.request == request::none && c.ending == ending::completion) return false;
  return !(c.gone == gone::thread &&
           (c.request == request::none || c.request == request::late_local));
}

bool left_loop_makes_sense(const combination& c) {
  if (c.ending != ending::left_loop) return true;
  // run_until() runs the first thread in the other drivers. What it destroys is a coroutine; and
  // nobody could do anything between the start and the end.
  return c.driver == driver::polled && (c.victim == victim::task || c.victim == victim::owner) &&
         (c.stage == stage::submitted || c.stage == stage::queued) && c.request == request::none &&
         c.where != where::opened_by_second &&
         // Nobody resets it there.
         c.device != device::error_holds;
}

// An opener that ends waits for the I/O of other threads; what is queued there waits for memory
// that the program has.
bool opener_can_end(const combination& c) {
  return c.where != where::opened_by_second || c.gone != gone::thread || c.stage != stage::queued ||
         c.request == request::local;
}

bool driver_makes_sense(const combination& c) {
  // Under the framework, SPDK polls all threads: there is no second one of the program's.
  return c.driver != driver::reactor || !c.two_threads();
}

// Not senseless, but no different.
bool adds_something(const combination& c) {
  // A write differs from a read in who touches the buffer, which concerns neither handles nor
  // threads.
  if (c.direction == direction::write &&
      !(c.where == where::first && c.gone == gone::nothing &&
        (c.victim == victim::task || c.victim == victim::callback))) {
    return false;
  }
  if (c.device == device::aio) {
    // What waits for memory does not know yet on what device. And the kernel takes tens of
    // milliseconds to end an AIO context, of which each thread has one.
    return c.stage != stage::queued && c.stage != stage::starved &&
           (c.victim == victim::task || c.victim == victim::callback) &&
           (c.gone == gone::nothing || c.gone == gone::descriptor || c.gone == gone::thread) &&
           (c.where == where::first || c.where == where::second);
  }
  // Each case with an error device takes several of SPDK's configuration calls.
  if (c.device >= device::error_fails &&
      (c.victim == victim::wrapped_task || c.victim == victim::owner ||
       c.where == where::second_alone || c.gone == gone::channel)) {
    return false;
  }
  if (c.device != device::error_short) return true;
  // SPDK's queue for a device that is short, whose timer takes milliseconds each time.
  return (c.stage == stage::submitted || c.stage == stage::under_way) &&
         (c.victim == victim::task || c.victim == victim::scope || c.victim == victim::callback) &&
         (c.gone == gone::nothing || c.gone == gone::thread) &&
         (c.where == where::first || c.where == where::second);
}

// Each of them with every value of one dimension.
template <class E>
std::vector<combination> times(const std::vector<combination>& all, E combination::* dimension) {
  std::vector<combination> out;
  out.reserve(all.size() * names<E>.size());
  for (combination c : all) {
    for (std::size_t i = 0; i < names<E>.size(); ++i) {
      c.*dimension = static_cast<E>(i);
      out.push_back(c);
    }
  }
  return out;
}

}  // namespace

bool makes_sense(const combination& c) {
  return stage_can_be_reached(c) && request_makes_sense(c) && gone_makes_sense(c) && ends(c) &&
         ends_once_served(c) && left_loop_makes_sense(c) && driver_makes_sense(c) &&
         opener_can_end(c) && adds_something(c);
}

std::vector<combination> all_combinations() {
  std::vector<combination> all{combination{}};
  all = times(all, &combination::device);
  all = times(all, &combination::driver);
  all = times(all, &combination::direction);
  all = times(all, &combination::victim);
  all = times(all, &combination::stage);
  all = times(all, &combination::request);
  all = times(all, &combination::gone);
  all = times(all, &combination::ending);
  all = times(all, &combination::where);
  std::erase_if(all, [](const combination& c) { return !makes_sense(c); });
  return all;
}

std::string name_of(const combination& c) {
  std::string out;
  auto add = [&](std::string_view label, std::string_view value) {
    if (!out.empty()) out += '/';
    out.append(label).append(value);
  };
  add("", to_string(c.device));
  add("", to_string(c.driver));
  add("", to_string(c.direction));
  add("", to_string(c.victim));
  add("", to_string(c.stage));
  add("asked:", to_string(c.request));
  add("gone:", to_string(c.gone));
  add("end:", to_string(c.ending));
  add("on:", to_string(c.where));
  return out;
}

}  // namespace lifetimes
