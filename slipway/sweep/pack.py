"""Elements that share a job: short ones one after the other, several side by side. Pure."""

from __future__ import annotations

import heapq
from collections.abc import Sequence


def pack(minutes: Sequence[int], most: int) -> list[list[int]]:
    """Elements by their numbers, in lanes of at most so many minutes, the longest of each first.

    Each goes, the longest first, to the lane that has the least room left for it. (The first that has room
    would do as well, but looking for it takes long where there are thousands.) One that is longer than a lane
    may be is alone in its own.

    Args:
        minutes: how long each element may take, from 1.
        most: how long all of a lane may take.
    """
    lanes: list[list[int]] = []
    # Lanes by the minutes that they have left.
    left: dict[int, list[int]] = {}
    for number in sorted(range(len(minutes)), key=lambda one: -minutes[one]):
        size = minutes[number]
        room = next((room for room in range(size, most) if left.get(room)), None)
        if room is None:
            lane, room = len(lanes), most
            lanes.append([])
        else:
            lane = left[room].pop()
        lanes[lane].append(number)
        if room > size:
            left.setdefault(room - size, []).append(lane)
    return lanes


def spread(lanes: list[list[int]], minutes: Sequence[int], count: int) -> list[list[int]]:
    """The same elements in so many lanes, the longest first to the lane that has the least.

    They stay as they were where that would make one longer than the longest of them.
    """
    ends = [(0, lane) for lane in range(count)]
    even: list[list[int]] = [[] for _ in ends]
    for number in sorted((one for lane in lanes for one in lane), key=lambda one: -minutes[one]):
        end, lane = heapq.heappop(ends)
        even[lane].append(number)
        heapq.heappush(ends, (end + minutes[number], lane))
    longest = max(sum(minutes[one] for one in lane) for lane in lanes)
    return even if max(end for end, _ in ends) <= longest else lanes


def side_by_side(lanes: Sequence[list[int]], minutes: Sequence[int], count: int) -> list[list[list[int]]]:
    """Lanes in jobs of so many each; those that take about as long share one.

    Args:
        lanes: elements by their numbers.
        minutes: how long each element may take; nothing where that is not known.
        count: lanes of a job, at most.
    """
    longest = sorted(lanes, key=lambda lane: -sum(minutes[one] for one in lane)) if minutes else [*lanes]
    return [longest[start : start + count] for start in range(0, len(longest), count)]
